"""More rows of a table than fit into memory: the same answers, whatever the batches."""

import weakref
from collections.abc import Iterator
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from jaxcf import EngineOptions, Status
from jaxcf.tabular import FittedTableExplainer, Rule, TableExplainer

ROWS = 16
NAMES = ("declined", "granted")


@lru_cache
def frame(n: int = 160, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {"age": rng.integers(18, 80, n), "pay": rng.gamma(2.0, 9.0, n).round(2)}
    return pd.DataFrame(columns | {"job": rng.choice(["clerk", "pilot"], n)})


def predict(x: jax.Array) -> jax.Array:
    score = x @ jnp.array([2.0, 5.0, -1.0, 1.0]) - 2.0
    return jnp.stack([jax.nn.sigmoid(-score), jax.nn.sigmoid(score)], axis=1)


@lru_cache
def fitted() -> FittedTableExplainer:
    # Few lanes: what a stream holds depends on them.
    engine = EngineOptions(lanes=4)
    return TableExplainer(predict, class_names=NAMES, engine=engine).fit(frame())


def pieces(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    return (table.iloc[start : start + ROWS] for start in range(0, len(table), ROWS))


def test_a_stream_gives_what_explain_gives_under_the_same_rules_and_target():
    asked = {
        "target": "granted",
        "rules": {"age": Rule(increase_only=True), "pay": Rule(step=0.5)},
        "num_alternatives": 2,
    }
    table = frame().head(3 * ROWS - 2)
    whole = fitted().explain(table, **asked)
    parts = list(fitted().stream(pieces(table), **asked))
    assert [len(one) for one in parts] == [2 * ROWS, 2 * ROWS, 2 * ROWS - 4]
    assert [one.settings["batch"] for one in parts] == [0, 1, 2]
    joined = pd.concat([one.counterfactual for one in parts])
    pd.testing.assert_frame_equal(joined, whole.counterfactual, check_exact=True)
    assert np.concatenate([one.status for one in parts]).tolist() == whole.status.tolist()
    assert parts[1].ruled == ("age", "pay")
    # in any order each is still in its own units
    for one in fitted().stream(pieces(table), in_order=False, **asked):
        expected = parts[one.settings["batch"]].counterfactual
        pd.testing.assert_frame_equal(one.counterfactual, expected, check_exact=True)


def test_a_long_stream_holds_no_more_tables_than_a_short_one():
    alive: list[weakref.ref] = []

    def made(count: int) -> Iterator[pd.DataFrame]:
        for number in range(count):
            table = frame().iloc[number % 10 * ROWS :][:ROWS].copy()
            alive.append(weakref.ref(table))
            yield table
            del table

    def most(count: int) -> int:
        alive.clear()
        held = 0
        for explanations in fitted().stream(made(count)):
            assert (explanations.status == Status.FOUND).all()
            del explanations
            held = max(held, sum(one() is not None for one in alive))
        assert len(alive) == count
        return held

    # 32 rows per lane, and those that lanes are being filled from: less than half of all.
    assert most(24) <= 32 * 4 // ROWS + 2


def test_what_is_wrong_with_a_batch_is_said_after_those_before_it():
    good = frame().head(4)
    stream = fitted().stream([good, good.drop(columns="pay")])
    assert len(next(stream)) == 4
    with pytest.raises(ValueError, match="lacks the columns 'pay'"):
        next(stream)
    with pytest.raises(ValueError, match="gone"):
        fitted().stream([good], target="gone")
