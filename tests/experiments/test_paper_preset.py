"""The paper's settings find a counterfactual for every digit."""

import json

import pytest

from experiments import paper_preset

pytestmark = pytest.mark.usefixtures("programs_run_long")  # thousands of updates a row


def test_the_paper_finds_all(tmp_path, models_dir):
    paper_preset.main(["--quick", "--out", str(tmp_path), "--models-dir", str(models_dir)])
    rows = json.loads((tmp_path / "digits" / "paper_preset.json").read_text())["rows"]
    assert [row["objective"] for row in rows] == ["A", "D"]
    assert all(row["found"] == row["n"] == 10 for row in rows)
    # Ten rounds of 500 updates, whatever was found on the way.
    assert {row["steps"]["mean"] for row in rows} == {5000.0}
