"""`jaxcf explain` with a guide: which one, what is recorded, and what else a run is good for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from helpers import assert_same_answers

from jaxcf import Explainer, Explanations, Guide, SearchOptions, Status, data, models, presets
from jaxcf.cli import main as cli
from jaxcf.cli.dataset_models import chosen_guide
from jaxcf.cli.run_folder import EXPLANATIONS_FILE, read_run
from jaxcf.models import Judge
from jaxcf.models.networks.judge_networks import StridedClassifier
from jaxcf.utils.fingerprints import fingerprint
from jaxcf.utils.json_files import plain, read_json, write_json

FEW = ("--limit", "3", "--preset", "quick", "--details", "0", "--quiet")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def guide_file(tmp_path_factory):
    """A guide of one's own, less sure than the shipped one."""
    path = tmp_path_factory.mktemp("guides") / "mine.npz"
    shipped = models.pretrained_guide("digits")
    models.save_guide(path, replace(shipped, name="mine", confidence=0.75))
    return path


@pytest.fixture(scope="module")
def guided(guide_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guided") / "run"
    guide = ("--guide", str(guide_file))
    assert cli.main(["explain", "digits", *FEW, *guide, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    ("asked", "preset", "origin"),
    [
        (None, None, "shipped"),
        (None, "plausible", "shipped"),
        (None, "report", None),
        ("none", None, None),
        ("none", "near", None),
        ("FILE", "report", "FILE"),
    ],
)
def test_a_guide_comes_where_the_settings_go_with_one_or_it_is_asked_for(
    guide_file, asked, preset, origin
):
    path = {"FILE": guide_file, "none": Path("none")}.get(asked)
    chosen = chosen_guide(path, preset, data.load("digits"))
    found = None if chosen is None else chosen[1]
    assert found == (str(guide_file) if origin == "FILE" else origin)


def test_a_run_says_which_guide_it_had_and_what_was_asked_of_it(guided, guide_file):
    config, run = read_json(guided / "config.json"), read_run(guided)
    assert config["guide"] == config["command"]["guide"] == str(guide_file)
    weights = models.load_guide(guide_file).functions()["params"]
    assert config["settings"]["guides"] == {
        "confidence": {"mine": 0.75},
        "needed": 1,
        "fingerprint": {"mine": fingerprint(weights)},
    }
    found = run.core.found
    assert found.all()
    assert (run.core.scores["guide_probability"] > 0.75).all()
    said = run.core.guide_probabilities
    assert said is not None
    assert said.shape == (3, 1, 10)


def test_a_model_alone_has_the_settings_of_a_model_alone():
    arguments = ("explain", "digits", "--limit", "2", "--guide", "none", "--details", "0")
    assert cli.main([*arguments, "-q", "--out", "alone"]) == 0
    config = read_json("alone/config.json")
    assert config["guide"] is None
    assert "guides" not in config["settings"]
    assert config["settings"]["search"] == plain(SearchOptions().settings())
    assert read_run("alone").core.guide_probabilities is None


def test_a_guided_run_is_repeated_bit_for_bit_and_compared(guided, capsys):
    assert cli.main(["explain", "--config", str(guided / "config.json"), "-q", "-o", "again"]) == 0
    before, again = read_run(guided), read_run("again")
    assert_same_answers(again.core, before.core)
    assert again.id == before.id
    assert cli.main(["compare", str(guided), "again"]) == 0
    assert "guides convinced" in capsys.readouterr().out


def test_commands_say_who_agrees_and_pages_no_folder(guided, guide_file, capsys):
    assert cli.main(["info", str(guided)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "3 of 3 (100.0 %); the model and its guide agree" in said
    assert "'mine': 0.75" in said
    assert cli.main(["report", str(guided), "-q", "--out", "page.html"]) == 0
    text = Path("page.html").read_text()
    assert '["guide","mine.npz"]' in text
    assert str(guide_file.parent) not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["breast_cancer", "--guide", "FILE"], "take rows of shape (8, 8, 1) to 10 classes"),
        (["my.csv", "--label", "paid", "--guide", "FILE"], "--guide"),
        (["digits", "--guide", "models.npz"], "models.npz"),
        (["digits", "--guide", "None"], "None"),
    ],
)
def test_guides_of_something_else_are_refused(guide_file, arguments, message, capsys):
    Path("my.csv").write_text("age,paid\n1,no\n2,yes\n")
    models.save_models("models.npz", models.pretrained("breast_cancer"))
    given = [str(guide_file) if one == "FILE" else one for one in arguments]
    assert cli.main(["explain", *given, "--quiet"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("jaxcf: error: ")
    assert message in error
    assert not Path("runs").exists()


def test_a_judge_that_guided_is_refused(guided, capsys):
    """Made in Python: the command's own guides are networks of other kinds than judges."""
    network = StridedClassifier((8, 8, 1), 10, widths=(4,), rngs=nnx.Rngs(0))
    judge, other = (
        Judge(name, one, 0.5, {})
        for name, one in (
            ("strided", network),
            ("other", StridedClassifier((8, 8, 1), 10, widths=(4,), rngs=nnx.Rngs(1))),
        )
    )
    graph, weights = nnx.split(network)
    guide = Guide(
        lambda params, x: nnx.merge(graph, params)(x), weights, "logits", 0.0, name="both"
    )
    digits = data.load("digits").first(train=300, test=3)
    functions = models.pretrained("digits").functions()
    explainer = Explainer(**functions, **presets.quick(), guides=[guide]).fit(digits.x_train)
    run = read_run(guided)
    folder = Path("run")
    for name in ("config.json", "summary.json"):
        write_json(folder / name, read_json(guided / name))
    explainer.explain(digits.x_test).save(folder / EXPLANATIONS_FILE, run=run.id)
    before = (folder / EXPLANATIONS_FILE).read_bytes()
    models.save_judges("models/digits-judges.npz", (other, judge))
    assert cli.main(["evaluate", "run", "--judges", "-q"]) == 1
    error = capsys.readouterr().err
    assert "the judge 'strided' guided this run, as 'both'" in error
    assert (folder / EXPLANATIONS_FILE).read_bytes() == before
    models.save_judges("models/digits-judges.npz", (other,))
    assert cli.main(["evaluate", "run", "--judges", "-q"]) == 0
    assert "oracle" in Explanations.load(folder / EXPLANATIONS_FILE).scores


def test_rows_that_convince_no_guide_say_so(capsys):
    """A guide that nothing convinces: the model's own answer comes along, and isn't counted."""
    sure = replace(models.pretrained_guide("digits"), confidence=1 - 1e-6)
    models.save_guide("sure.npz", sure)
    arguments = ("--guide", "sure.npz", "--max-steps", "25", "--limit", "3", "--details", "0")
    assert cli.main(["explain", "digits", "--preset", "quick", *arguments, "-o", "run"]) == 0
    run = read_run("run").core
    assert (run.status == Status.GUIDE_NOT_CONVINCED).any()
    assert "guide_not_convinced" in capsys.readouterr().out
    held_up = run.status == Status.GUIDE_NOT_CONVINCED
    assert (run.counterfactual_class != run.original_class)[held_up].all()
    assert np.isnan(run.scores["im1"][held_up]).all()
