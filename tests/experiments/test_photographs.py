"""Figures 6 and 7: on the embedded digits, since colour photographs have to be downloaded."""

import json

import pytest

from experiments import figure6, figure7

pytestmark = pytest.mark.usefixtures("programs_run_long")  # thousands of updates a row


@pytest.mark.parametrize("figure", [figure6, figure7])
def test_both_settings_are_measured_with_judges_and_controls(figure, tmp_path, models_dir):
    folders = ["--out", str(tmp_path), "--models-dir", str(models_dir)]
    figure.main(["--quick", "--limit", "30", *folders])
    name = figure.__name__.rpartition(".")[2]
    result = json.loads((tmp_path / "digits" / f"{name}.json").read_text())
    mine = [row for row in result["rows"] if row["subject"] == "counterfactual"]
    assert [(row["settings"], row["objective"]) for row in mine] == [
        (settings, letter) for settings in ("report", "default") for letter in "AD"
    ]
    assert all(0 <= row["oracle"]["mean"] <= 1 for row in mine if row["found"])
    assert len(result["judges"]) == 3
    first, second = (result["search"][settings]["search"] for settings in ("report", "default"))
    assert first != second
    assert (tmp_path / "digits" / f"{name}.png").exists()
