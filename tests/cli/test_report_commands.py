"""`jaxcf report` and `jaxcf compare`, run in this process on runs written by hand."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_explanations import images, made, table, traces

from jaxcf.cli import main as cli
from jaxcf.cli.run_folder import NewRun, read_run, write_true_classes
from jaxcf.cli.terminal import Terminal

CONFIG = {"command": {}, "models": "x", "settings": {}}


def write_run(folder, explanations, closer=None, **described):
    run = NewRun.begin(folder, explanations, {})
    if closer is not None:
        run.write_traces(len(closer), lambda num_rows: closer, Terminal(quiet=True))
    run.write_config(CONFIG | {"data": {"name": "made"} | described})
    return str(folder)


def payload(page):
    found = re.search(r'id="payload">(.*?)</script>', page.read_text())
    assert found
    return json.loads(found[1])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    first = images(40, (5, 5))
    second = replace(first, steps=first.steps + 7)
    names = [f"class {label}" for label in range(10)]
    return {
        "first": write_run(root / "first", first, traces(first), classes=names),
        "second": write_run(root / "second", second, classes=names),
        "table": write_run(root / "table", table(40)),
        "other": write_run(root / "other", images(30, (5, 5))),
    }


def test_the_report_of_a_run_lies_in_its_folder(runs, capsys):
    assert cli.main(["report", runs["first"], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["found"] == images(40, (5, 5)).found.sum()
    page = payload(Path(document["out"]))
    assert document["out"] == f"{runs['first']}/report.html"
    assert page["classes"][3] == "class 3"
    assert page["searches"]["rows"] == [0, 2]
    assert page["title"].startswith("made")
    assert ["data.name", "made"] in page["settings"]


def test_the_report_of_a_table_is_in_original_units(runs, tmp_path):
    assert cli.main(["report", runs["table"], "--quiet", "--out", str(tmp_path / "t.html")]) == 0
    page = payload(tmp_path / "t.html")
    assert [one["name"] for one in page["contents"]["features"]] == ["age", "pay", "job"]
    assert page["classes"] == ["no", "yes"]


def test_scaled_tables_are_put_back_into_their_units(tmp_path):
    run = write_run(
        tmp_path / "run",
        made(np.full((20, 2), 0.5), 2),
        classes=["a", "b"],
        features=["height", "weight"],
        offset=[100.0, 0.0],
        scale=[80.0, 200.0],
    )
    assert cli.main(["report", run, "--quiet"]) == 0
    contents = payload(tmp_path / "run" / "report.html")["contents"]
    assert contents["features"][0]["name"] == "height"
    assert contents["units"] == "in original units"


def test_a_page_says_what_was_asked_and_what_rows_really_are(tmp_path):
    people = replace(table(20), ruled=("age",))
    run = write_run(tmp_path / "run", people)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["rules"], config["relations"] = ["age:increase", "age:..65"], ["pay <= 90"]
    config["model"] = {"source": "/home/me/forest.joblib", "accuracy": 0.931}
    config["model"] |= {"accuracy_rows": 1200, "accuracy_on": "labelled rows"}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    write_true_classes(tmp_path / "run", np.arange(20) % 3 - 1)
    assert cli.main(["report", run, "-q"]) == 0
    page = payload(tmp_path / "run" / "report.html")
    assert page["question"]["sentence"] == (
        "What would have to be different for the model (forest.joblib, right for 93.1 % of 1,200 "
        "labelled rows) to decide otherwise, where age may only rise and is at most 65 and "
        "pay <= 90?"
    )
    assert page["columns"]["trueClass"] == (np.arange(20) % 3 - 1).tolist()
    for wrong, message in ((np.arange(20), "damaged"), (np.zeros(3, int), "is of 3 rows")):
        write_true_classes(tmp_path / "run", wrong)
        with pytest.raises(ValueError, match=message):
            read_run(run)
    write_true_classes(tmp_path / "run", None)
    assert read_run(run).true_classes is None


def test_a_report_may_hold_a_comparison(runs, tmp_path):
    out = str(tmp_path / "both.html")
    assert cli.main(["report", runs["first"], "--compare", runs["second"], "-q", "-o", out]) == 0
    compared = payload(tmp_path / "both.html")["comparison"]
    assert compared["names"] == ["first", "second"]
    assert compared["differences"][0]["difference"] == 7


def test_a_page_holds_no_folder_of_the_machine(tmp_path):
    explanations, home = images(8, (5, 5)), str(tmp_path)
    folders = [tmp_path / name / "run" for name in ("a", "b")]
    for folder, steps in zip(folders, (0, 7), strict=True):
        one = replace(explanations, steps=explanations.steps + steps)
        places = {"data": f"{home}/my.csv", "out": home, "data_dir": f"{home}/data", "models": home}
        places |= {"model": "C:\\Users\\me\\m.joblib", "test": "../them/new.csv", "label": "a/b"}
        places |= {"guide": f"{home}/guides/mine.npz"}
        model = {"source": f"{home}/m.joblib", "takes": "table"}
        here = {"command": places, "models": f"{home}/models/made.npz", "model": model}
        here |= {"guide": f"{home}/guides/mine.npz"}
        NewRun.begin(folder, one, {}).write_config(CONFIG | {"data": {"name": "made"}} | here)
    arguments = ["report", str(folders[0]), "--compare", str(folders[1]), "-q"]
    assert cli.main(arguments) == 0
    text = (folders[0] / "report.html").read_text()
    assert home not in text
    assert not re.search("Users|them/", text)
    page = payload(folders[0] / "report.html")
    assert page["comparison"]["names"] == ["a/run", "b/run"]
    named = (["command.data", "my.csv"], ["models", "made.npz"], ["guide", "mine.npz"])
    for shown in (*named, ["command.guide", "mine.npz"], ["command.label", "a/b"]):
        assert shown in page["settings"]


def test_a_page_of_its_own_run_is_written_anew_and_nothing_else(runs, tmp_path, capsys):
    out = tmp_path / "page.html"
    report = ["report", runs["first"], "-q", "-o", str(out)]
    assert cli.main(report) == cli.main(report) == 0
    for there in (None, "<!DOCTYPE html>"):
        if there is not None:
            out.write_text(there)
        assert cli.main(["report", runs["second"], "-q", "-o", str(out)]) == cli.EXIT_FAILED
        assert "is there already; pass --overwrite" in capsys.readouterr().err
    assert cli.main(["report", runs["second"], "-q", "-o", str(out), "--overwrite"]) == 0
    assert cli.main(["report", runs["second"], "-q", "-o", f"{out}/new.html"]) == cli.EXIT_FAILED
    assert "page.html is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["explanations.npz", "config.json"])
def test_no_page_takes_the_place_of_what_it_is_made_from(runs, name, capsys):
    file = Path(runs["first"]) / name
    before = file.read_bytes()
    for options in ((), ("--overwrite",)):
        assert cli.main(["report", runs["first"], "-q", "-o", str(file), *options]) != 0
        assert "is a file of the run itself" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_compare_prints_both_and_the_difference(runs, capsys):
    assert cli.main(["compare", runs["first"], runs["second"]]) == 0
    printed = capsys.readouterr().out
    assert "found by both" in printed
    assert re.search(r"steps +[\d.]+ +[\d.]+ +7 \[7, 7\]", printed)
    assert cli.main(["compare", runs["first"], runs["second"], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["found"]["only_first"] == 0
    assert document["differences"]["steps"]["difference"] == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "first", "other"], "40 and 30 rows"),
        (["compare", "first", "table"], "two of a kind"),
        (["report", "nowhere"], "is no run"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(runs, capsys, arguments, message):
    command, *folders = arguments
    assert cli.main([command, *(runs.get(name, name) for name in folders)]) == cli.EXIT_FAILED
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("jaxcf: error:")
    assert message in error
