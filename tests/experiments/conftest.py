"""Networks that the quick runs train once for all of them."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def as_a_user_runs_them():
    """Types are checked elsewhere, and training takes longer than compiling it."""
    from helpers import type_checks  # not before the type checks are installed
    from trained_once import long_programs

    from experiments import common

    def trained_well(load):
        def loaded(*arguments):
            with long_programs():
                return load(*arguments)

        return loaded

    with type_checks(False), pytest.MonkeyPatch.context() as patch:
        for name in ("load_model_set", "load_wide_class_autoencoders", "load_judges"):
            patch.setattr(common, name, trained_well(getattr(common, name)))
        yield


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory):
    # Beside the folders of pytest-xdist's workers, so that they share what is trained; files are
    # put there at once, so two workers that train the same do no harm.
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "models"
    folder.mkdir(exist_ok=True)
    return folder
