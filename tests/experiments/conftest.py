"""Networks that the quick runs train once for all of them."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def as_a_user_runs_them():
    """Types are checked elsewhere."""
    from helpers import type_checks  # not before the type checks are installed

    with type_checks(False):
        yield


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory):
    # Beside the folders of pytest-xdist's workers, so that they share what is trained; files are
    # put there at once, so two workers that train the same do no harm.
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "models"
    folder.mkdir(exist_ok=True)
    return folder
