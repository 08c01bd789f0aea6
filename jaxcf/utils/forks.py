"""Whether this process was forked off one in which JAX was running already."""

import os
import sys

# XLA's threads stay behind in the parent: what waits for them in the child waits forever.
_seen = {"running at the fork": False, "forked": False}


def _before() -> None:
    bridge = sys.modules.get("jax._src.xla_bridge")
    # JAX has no public word for it. The parent asks: in the child a lock may be held for good.
    running = getattr(bridge, "backends_are_initialized", None)
    _seen["running at the fork"] = running is not None and running()


def _in_child() -> None:
    _seen["forked"] = _seen["forked"] or _seen["running at the fork"]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_child=_in_child)


def check_not_forked() -> None:
    """Check that JAX can compute in this process.

    Raises:
        RuntimeError: if it was forked off one in which JAX was running: computing would hang.
    """
    if _seen["forked"]:
        raise RuntimeError(
            "this process was forked off one in which JAX was running, whose threads stay behind: "
            "any computation would hang; start processes with multiprocessing.get_context('spawn') "
            "or 'forkserver', to which a fitted explainer can be pickled"
        )
