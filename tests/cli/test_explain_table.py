"""`jaxcf explain` for tables, run in this process as a user would call it."""

import csv
import os
import shutil
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image

from jaxcf import Status
from jaxcf.cli import main as cli
from jaxcf.cli.run_folder import read_run
from jaxcf.cli.table_rules import parse_rules
from jaxcf.data import read_table
from jaxcf.tabular import Categorical, Numeric, Ordinal, Schema, TableExplanations
from jaxcf.utils.json_files import read_json

FILES = {
    "explanations.npz",
    "counterfactuals.csv",
    "summary.json",
    "config.json",
    "columns.png",
    "details.npz",
    "job.json",
    "parts",
    "true_classes.npz",
}
JOBS = ("clerk", "pilot", "sailor")
SIZES = ("small", "medium", "large")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file whose label follows from its columns, and another without a label."""
    generator = np.random.default_rng(0)
    n = 240
    age, hours = generator.integers(18, 70, n), generator.integers(10, 60, n)
    job, size = generator.integers(0, 3, n), generator.integers(0, 3, n)
    paid = (age - 18) / 52 + hours / 60 + (job == 1) * 0.5 + size / 4 > 1.3
    pay = generator.normal(10, 2, n).round(2)
    root = tmp_path_factory.mktemp("tables")
    rows = [
        (age[i], pay[i], hours[i], JOBS[job[i]], SIZES[size[i]], "yes" if paid[i] else "no")
        for i in range(n)
    ]
    heads = ("age", "pay", "hours", "job", "status", "paid")
    for name, lines in (("loans.csv", rows), ("new.csv", [row[:5] for row in rows[:20]])):
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows([heads[: len(lines[0])], *lines])
    with (root / "new.csv").open("a") as file:
        file.write("30,10,,astronaut,small\n")
    (root / "other.csv").write_text("age,hours,job,status\n30,20,clerk,small\n")
    (root / "labels.csv").write_text(f"{','.join(heads)}\n30,9.5,20,clerk,small,perhaps\n")
    return root


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


RULES = ("age:increase", "pay:frozen", "hours:15..50", "job:clerk|pilot")


@pytest.fixture(scope="module")
def run(folder):
    out = folder / "run"
    rules = [part for rule in RULES for part in ("--rule", rule)]
    arguments = ["explain", str(folder / "loans.csv"), "--label", "paid", *rules, "--quiet"]
    assert cli.main([*arguments, "--out", str(out)]) == 0
    return out


def load(folder):
    explanations = read_run(folder).explanations
    assert isinstance(explanations, TableExplanations)
    return explanations


def read(folder):
    return read_table(folder / "counterfactuals.csv")


def test_a_table_run_writes_the_documented_files(run):
    assert {file.name for file in run.iterdir()} == FILES
    explanations = load(run)
    assert len(explanations) == len(read(run)["row"]) == 240
    np.testing.assert_array_equal(explanations.counterfactual["job"], read(run)["job"])
    with Image.open(run / "columns.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_details_are_in_coordinates_that_have_values(run, folder):
    whole = read_run(run)
    traces, explanations = whole.traces, load(run)
    assert traces is not None
    assert len(traces) == 24
    part = explanations[traces.rows]
    assert part.found.all()
    values = part.values_at(traces.path)
    np.testing.assert_array_equal(values[:, 0], part.original_values)
    shown = traces.evaluations >= 0
    np.testing.assert_array_equal(np.isnan(values).all(axis=2), ~shown)
    schema = explanations.coding.schema
    age = schema.index("age")
    assert (values[:, 1:, age][shown[:, 1:]] == values[:, 1:, age][shown[:, 1:]].round()).all()
    # Without an encoder the prototype is a training row.
    table = read_table(folder / "loans.csv")
    known = schema.read({name: table[name] for name in schema.names})
    distances = np.abs(part.values_at(traces.prototype)[:, None] - known).max(axis=2)
    assert (distances.min(axis=1) < 1e-4).all()
    np.testing.assert_allclose(part.values_at(traces.nearest), known[traces.nearest_row], atol=1e-4)


def test_every_rule_holds_in_the_file(run, folder):
    before, after = read_table(folder / "loans.csv"), read(run)
    found = after["jaxcf_status"] == "found"  # the table has a column "status" itself
    assert found.mean() > 0.4
    assert (after["age"][found] >= before["age"][found]).all()
    assert (after["pay"][found] == before["pay"][found]).all()
    assert ((after["hours"][found] >= 15) & (after["hours"][found] <= 50)).all()
    assert set(after["job"][found]) <= {"clerk", "pilot"}
    outside = (before["hours"] < 15) | (before["hours"] > 50) | (before["job"] == "sailor")
    np.testing.assert_array_equal(after["jaxcf_status"] == "out_of_range", outside)
    for name in before.keys() & after.keys():
        np.testing.assert_array_equal(after[name][~found], before[name][~found])
    assert (after["original_class"] != after["counterfactual_class"])[found].all()
    assert all(message for message in after["message"][~found])


def test_a_run_keeps_what_its_rows_really_are(run, folder):
    paid = read_table(folder / "loans.csv")["paid"]
    truth = read_run(run).true_classes
    assert truth is not None
    assert np.array(load(run).class_names)[truth].tolist() == paid.tolist()


def test_changes_are_counted_and_told_in_words(run, folder):
    before, after = read_table(folder / "loans.csv"), read(run)
    names = [name for name in before if name != "paid"]
    changed = np.sum([before[name] != after[name] for name in names], axis=0)
    np.testing.assert_array_equal(after["changed"], changed)
    row = int(np.argmax(changed == 1))
    name = next(name for name in names if before[name][row] != after[name][row])
    assert after["changes"][row] == f"{name}: {before[name][row]} -> {after[name][row]}"


def test_accuracy_is_that_of_rows_held_out(run):
    config = read_json(run / "config.json")
    assert config["model"]["train_rows"] + config["model"]["accuracy_rows"] == 240
    assert config["model"]["accuracy"] > 0.8
    assert 0.8 < config["model"]["logistic_accuracy"] <= 1
    assert config["data"]["classes"] == ["no", "yes"]
    assert config["data"]["columns"]["job"] == "categorical"
    assert config["rules"] == list(RULES)
    assert config["settings"]["search"]["stop"] == "first_flip"


def test_a_table_run_is_repeated_bit_for_bit(run):
    """The model is trained anew, and is the same."""
    assert cli.main(["explain", "--config", str(run / "config.json"), "-q", "--out", "again"]) == 0
    again = run.__class__("again")
    name = "counterfactuals.csv"
    assert (again / name).read_bytes() == (run / name).read_bytes()
    one, other = load(run), load(again)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_summary_counts_columns(run):
    summary = read_json(run / "summary.json")
    found = read(run)["jaxcf_status"] == "found"
    assert summary["found"] == found.sum()
    assert summary["changed_share"]["pay"] == 0
    assert summary["changed"] == pytest.approx(read(run)["changed"][found].mean())


def test_columns_that_seldom_change_are_pointed_out_where_no_rule_speaks_of_them(run):
    assert load(run).ruled == ("age", "pay", "hours", "job")
    assert read_json(run / "summary.json")["notes"] == []


def test_rows_of_another_file_are_explained_without_a_label(folder, capsys):
    arguments = ["explain", str(folder / "loans.csv"), "--label", "paid"]
    options = ["--test", str(folder / "new.csv"), "--ordinal", "status:small|medium|large"]
    options += ["--rule", "status:medium..", "--target", "yes", "--confidence", "0.7"]
    assert (
        cli.main([*arguments, *options, "--categories", "mvdm", "--details", "0", "--out", "run"])
        == 0
    )
    after = read(folder.__class__("run"))
    found = after["jaxcf_status"] == "found"
    assert len(found) == 21
    assert set(after["status"][found]) <= {"medium", "large"}
    assert set(after["counterfactual_class"][found]) == {"yes"}
    assert (after["counterfactual_probability"][found] > 0.7).all()
    assert after["jaxcf_status"][-1] == "invalid_input"
    assert "'astronaut', which is none of its 3 categories" in after["message"][-1]
    assert after["job"][-1] is None
    assert read_run("run").true_classes is None  # the other file has no label
    output, said = capsys.readouterr()
    assert "held out of training" in output
    assert "a plain logistic regression" in output
    assert "probability of the new class" in output
    assert "most changed columns" in output
    assert "note: nothing forbids this column to change: 'age'" in said
    assert cli.main(["info", "run"]) == 0
    assert cli.main(["evaluate", "run"]) == 1
    assert "explains a table" in capsys.readouterr().err


def test_names_of_classes_and_categories_are_what_is_written(tmp_path):
    rng = np.random.default_rng(0)
    age, code = rng.integers(18, 80, 80), rng.choice(["007", "7", "1E5"], 80)
    band = np.where(age < 40, "18_39", np.where(age < 60, "40_59", "60_99"))
    label = np.where(age + 20 * (code == "7") > 60, "01", "1")
    lines = [",".join(row) for row in zip(map(str, age), code, band, label, strict=True)]
    (tmp_path / "codes.csv").write_text("\n".join(["age,code,band,y", *lines]))
    unlabelled = "\n".join(
        ["age,code,band,y", *[line.rsplit(",", 1)[0] + "," for line in lines[:9]]]
    )
    (tmp_path / "new.csv").write_text(unlabelled)
    arguments = ["explain", "codes.csv", "--label", "y", "--categorical", "code", "-q"]
    rules = ["--rule", "code:007|7", "--rule", "band:frozen", "--target", "01"]
    wanted = [*arguments, *rules, "--details", "0"]
    assert cli.main([*wanted, "--out", "run"]) == 0
    after = read_table("run/counterfactuals.csv", as_text=["code", "counterfactual_class"])
    found = after["status"] == "found"
    assert found.any()
    assert set(after["counterfactual_class"][found]) == {"01"}
    assert set(after["code"][found]) <= {"007", "7"}
    assert after["band"].tolist() == band.tolist()
    # Rows of another file needn't be labelled, even where its column is there.
    assert cli.main([*wanted, "--test", "new.csv", "--out", "other"]) == 0
    other = read_table("other/counterfactuals.csv", as_text=["code"])
    assert other["code"].tolist() == after["code"][:9].tolist()


def test_too_few_rows_to_measure_a_model_on_are_refused(tmp_path, capsys):
    (tmp_path / "few.csv").write_text("age,y\n30,a\n40,b\n50,c\n")
    assert cli.main(["explain", "few.csv", "--label", "y", "-q"]) == 1
    assert "too few to train on some and measure on others" in capsys.readouterr().err


def test_adult_by_name(folder, tmp_path):
    lines = (folder / "loans.csv").read_text().replace("paid", "income").splitlines()
    for name, chosen in (("train.csv", lines[:160]), ("test.csv", [lines[0], *lines[160:]])):
        (tmp_path / "adult").mkdir(exist_ok=True)
        (tmp_path / "adult" / name).write_text("\n".join(chosen) + "\n")
    assert (
        cli.main(["explain", "adult", "--data-dir", ".", "--limit", "30", "--details", "0", "-q"])
        == 0
    )
    config = read_json("runs/adult-C/config.json")
    assert config["data"]["train_rows"] == 159
    assert config["data"]["test_rows"] == 30
    assert config["model"]["accuracy_rows"] == 81
    assert config["model"]["accuracy_on"] == "rows of the test file"


def test_ids_stand_beside_their_rows_and_are_no_column_of_the_model(folder, tmp_path):
    lines = (folder / "loans.csv").read_text().splitlines()
    ids = [f"{900 - row:03d}" for row in range(240)]  # the first is 900, the last 661
    named = [f"status id,{lines[0]}"] + [
        f"0{one},{line}" for one, line in zip(ids, lines[1:], strict=True)
    ]
    (tmp_path / "named.csv").write_text("\n".join(named) + "\n")
    (tmp_path / "few.csv").write_text(
        "\n".join([named[0], *named[:0:-30], ",40,1,20,clerk,large,no"])
    )
    arguments = ["explain", "named.csv", "--label", "paid", "--id", "status id", "-q"]
    assert cli.main([*arguments, "--test", "few.csv", "--details", "0", "--out", "run"]) == 0
    after = read_table("run/counterfactuals.csv", like={"status id": np.empty(0, object)})
    expected = [f"0{one}" for one in ids[::-30]] + [None]
    assert after["status id"].tolist() == expected
    assert list(after)[:3] == ["row", "status id", "age"]
    explanations = load("run")
    assert "status id" not in explanations.coding.schema.names
    assert explanations.labels is not None
    assert explanations.labels.tolist() == [*expected[:-1], ""]
    assert explanations.original["age"].tolist()[0] == read_table("named.csv")["age"][-1]
    config = ["explain", "--config", "run/config.json", "-q", "--out", "again"]
    assert cli.main(config) == 0
    csv_file = "counterfactuals.csv"
    assert (tmp_path / "again" / csv_file).read_bytes() == (
        tmp_path / "run" / csv_file
    ).read_bytes()
    assert cli.main(["report", "run", "-q"]) == 0
    assert "0661" in (tmp_path / "run" / "report.html").read_text()


# --- models from files -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_files(folder):
    import pandas
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = read_table(folder / "loans.csv")
    labels = columns.pop("paid")
    encoder = ColumnTransformer(
        [("names", OneHotEncoder(), ["job", "status"])], remainder="passthrough"
    )
    pipeline = make_pipeline(encoder, GradientBoostingClassifier(random_state=0))
    joblib.dump(pipeline.fit(pandas.DataFrame(columns), labels), folder / "pipeline.joblib")
    schema = Schema.infer(columns)
    linear = LogisticRegression().fit(schema.encode(schema.read(columns)), labels == "yes")
    joblib.dump(linear, folder / "linear.joblib")
    joblib.dump({"weights": 1}, folder / "nothing.joblib")
    joblib.dump(LinearRegression(), folder / "regressor.joblib")
    (folder / "damaged.joblib").write_bytes(b"no pickle")
    return folder


def test_a_pipeline_of_the_table_is_explained(model_files, capsys):
    arguments = ["explain", str(model_files / "loans.csv"), "--label", "paid", "--limit", "40"]
    model = ["--model", str(model_files / "pipeline.joblib"), "--trust-model-file"]
    related = ["--relation", "hours + 2 * age <= 170:move-in"]
    assert cli.main([*arguments, *model, "--rule", "age:frozen", *related, "--out", "run"]) == 0
    explanations = load("run")
    assert explanations.found.mean() >= 0.85  # age may not change
    assert len(read_run("run").traces or ()) == 24
    config = read_json("run/config.json")
    assert config["model"]["takes"] == "table"
    assert config["model"]["accuracy"] > 0.9
    assert "prediction" not in config["settings"]["objective"]["terms"]
    after = read_table("run/counterfactuals.csv")
    before = read_table(model_files / "loans.csv")
    np.testing.assert_array_equal(after["age"], before["age"][:40])
    assert (after["hours"] + 2 * after["age"])[explanations.found].max() <= 170
    assert config["relations"] == ["hours + 2 * age <= 170:move-in"]
    pipeline = joblib.load(model_files / "pipeline.joblib")
    import pandas

    columns = {name: after[name] for name in ("age", "pay", "hours", "job", "status")}
    decided = pipeline.predict(pandas.DataFrame(columns))
    found = after["jaxcf_status"] == "found"
    np.testing.assert_array_equal(decided[found], after["counterfactual_class"][found])


def test_a_model_of_the_encoded_table_is_explained_without_labels(model_files):
    arguments = ["explain", str(model_files / "new.csv"), "--drop", "nothing"]
    assert cli.main([*arguments, "-q", "--model", "x", "--trust-model-file"]) == 1
    arguments = ["explain", str(model_files / "loans.csv"), "--drop", "paid", "--limit", "20"]
    model = ["--model", str(model_files / "linear.joblib"), "--trust-model-file"]
    assert cli.main([*arguments, *model, "--details", "0", "-q", "--out", "run"]) == 0
    assert read_json("run/config.json")["model"]["takes"] == "input"
    assert read_json("run/config.json")["model"]["accuracy"] is None
    assert read_json("run/config.json")["data"]["classes"] == ["False", "True"]
    assert load("run").found.all()


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", "--label", "paid"], "nowhere.csv"),
        (["FILE"], "needs --label COLUMN"),
        (["FILE", "--label", "gift"], "has no column 'gift'; it has age, pay"),
        (["FILE", "--label", "pay"], "different values; expected 2 to 50 classes"),
        (["FILE", "--label", "paid", "--test", "nowhere.csv"], "nowhere.csv"),
        (["FILE", "--label", "paid", "--drop", "gift"], "--drop 'gift' names no column"),
        (["FILE", "--label", "paid", "--id", "gift"], "--id 'gift' names no column"),
        (["FILE", "--label", "paid", "--id", "paid"], "--id 'paid' names no column"),
        (["FILE", "--label", "paid", "--ordinal", "status"], "expected NAME:lowest|...|highest"),
        (["FILE", "--label", "paid", "--ordinal", "job:clerk|pilot"], "'sailor'"),
        (["FILE", "--label", "paid", "--categorical", "gift"], "categorical names 'gift'"),
        (["FILE", "--label", "paid", "--decimals", "pay"], "expected NAME:2, NAME:0"),
        (["FILE", "--label", "paid", "--decimals", "job:any"], "expected columns of numbers"),
        (["FILE", "--label", "paid", "--special", "pay"], "expected NAME:-8|-9"),
        (
            ["FILE", "--label", "paid", "--special", "pay:3", "--special", "pay:4"],
            "speaks of column 'pay' once more",
        ),
        (["FILE", "--label", "paid", "--special", "job:-8"], "expected columns of numbers"),
        (["FILE", "--label", "paid", "--target", "yess"], "(did you mean yes?); the classes are"),
        (["FILE", "--label", "paid", "--test", "other.csv"], "'pay'"),
        (["FILE", "--label", "paid", "--test", "labels.csv"], "the label 'perhaps' is none"),
        (["FILE", "--label", "paid", "--learning-rate", "-1"], "learning_rate"),
        (["FILE", "--label", "paid", "--out", "FILE"], "loans.csv is no folder"),
        (["FILE", "--label", "paid", "--out", "RUN"], "run holds a run already"),
        (["FILE", "--label", "paid", "--confidence", "1.5"], "expected 0 to below 1"),
        (["FILE", "--label", "paid", "--objective", "D"], "use A, C or E"),
        (["FILE", "--label", "paid", "--preset", "paper"], "--preset is for the data sets"),
        (["FILE", "--label", "paid", "--rule", "gift:frozen"], "names no column"),
        (["FILE", "--label", "paid", "--rule", "job:increase"], "needs an order"),
        (["FILE", "--label", "paid", "--rule", "pay:9..", "--rule", "pay:..8"], "above upper"),
        (["FILE", "--label", "paid", "--rule", "age:step=1.5"], "multiples of 1"),
        (["FILE", "--label", "paid", "--relation", "age < pay"], "expected one <="),
        (["FILE", "--label", "paid", "--trust-model-file"], "goes with --model FILE"),
        (["FILE", "--model", "pipeline.joblib"], "runs code"),
        (["FILE", "--trust-model-file", "--model", "nowhere.joblib"], "nowhere.joblib"),
        (["FILE", "--trust-model-file", "--model", "nothing.joblib"], "no predict_proba"),
        (
            ["FILE", "--trust-model-file", "--model", "pipeline.joblib", "--target", "maybe"],
            "the classes are no, yes",
        ),
        (["FILE", "--trust-model-file", "--model", "damaged.joblib"], "can't be loaded"),
        (
            ["FILE", "--trust-model-file", "--model", "linear.joblib", "--model-takes", "table"],
            "--model-takes input",
        ),
        (["FILE", "--trust-model-file", "--model", "regressor.joblib"], "is a regressor"),
        (
            ["FILE", "--trust-model-file", "--model", "pipeline.joblib", "--drop", "pay"],
            "lacks the columns 'pay', which the model",
        ),
        (["adult"], "--data-dir"),
        (["adult", "--data-dir", "."], "train.csv and test.csv"),
        (["adult", "--data-dir", ".", "--test", "x.csv"], "a test file of its own"),
        (["adult", "--data-dir", ".", "--label", "paid"], "leave --label out"),
        (["digits", "--label", "paid"], "--label is for tables"),
        (["digits", "--rule", "age:frozen"], "--rule is for tables"),
        (["digits", "--relation", "a <= b"], "--relation is for tables"),
    ],
)
def test_failures_say_why_in_one_line(model_files, arguments, message, capsys, monkeypatch):
    def work(*arguments, **options):
        raise AssertionError("a model was trained for nothing")

    monkeypatch.setattr("jaxcf.cli.table_models.train_table_classifier", work)
    places = {"FILE": "loans.csv", "RUN": "run"}
    places |= {name: name for name in ("other.csv", "labels.csv")}
    given = [str(model_files / places[one]) if one in places else one for one in arguments]
    if "--model" in given:
        place = given.index("--model") + 1
        given[place] = str(model_files / given[place])
    assert cli.main(["explain", *given, "--quiet"]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("jaxcf: error: ")
    assert "Traceback" not in captured.err
    assert os.listdir() == []


def test_a_table_is_checked_to_the_last_cell(run, capsys):
    shutil.copytree(run, "copy")
    assert cli.main(["check", "copy", "-q"]) == 0
    file = Path("copy", "counterfactuals.csv")
    file.write_text(file.read_text().replace(",clerk,", ",pilot,", 1))
    assert cli.main(["check", "copy"]) == 1
    assert "counterfactuals.csv isn't what the parts give" in capsys.readouterr().err


def test_a_path_spelt_otherwise_and_raw_cells_leave_a_run_that_holds(folder, monkeypatch):
    monkeypatch.chdir(folder)
    arguments = ["--label", "paid", "--limit", "12", "--details", "0", "-q", "--out", "spelt"]
    for more in (["loans.csv"], ["./loans.csv"], [str(folder / "loans.csv"), "--raw-csv"]):
        assert cli.main(["explain", *more, *arguments]) == 0
        assert cli.main(["check", "spelt", "-q"]) == 0
    assert read_run("spelt").config["command"]["raw_csv"]


def test_an_unfinished_run_of_another_file_of_that_name_is_let_be(monkeypatch, folder, capsys):
    def interrupt(progress):
        raise KeyboardInterrupt

    lines = (folder / "loans.csv").read_text().splitlines(keepends=True)
    for name, chosen in (("a", lines[:121]), ("b", lines[:1] + lines[121:])):
        Path(name).mkdir()
        Path(name, "my.csv").write_text("".join(chosen))
    rest = ["--label", "paid", "--limit", "8", "--details", "0", "-q"]
    with monkeypatch.context() as patch:
        patch.setattr("jaxcf.cli.terminal.Terminal.progress_bar", lambda self: interrupt)
        assert cli.main(["explain", "a/my.csv", *rest]) == cli.EXIT_INTERRUPTED
    (first,) = Path("runs").iterdir()
    assert cli.main(["explain", "b/my.csv", *rest]) == 0
    assert {one.name for one in Path("runs").iterdir()} == {first.name, f"{first.name}-2"}
    assert (first / "job.json").exists()
    assert cli.main(["explain", "b/my.csv", *rest, "--out", str(first)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "Pass another --out, or begin anew with --restart" in said
    assert cli.main(["explain", "a/my.csv", *rest]) == 0
    assert not (first / "job.json").exists()  # it is done
    assert len(load(first)) == 8


def test_interrupting_a_table_keeps_what_was_finished(monkeypatch, folder):
    def interrupt(progress):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxcf.cli.terminal.Terminal.progress_bar", lambda self: interrupt)
    arguments = ["explain", str(folder / "loans.csv"), "--label", "paid", "--lanes", "8", "-q"]
    assert cli.main([*arguments, "--out", "run"]) == cli.EXIT_INTERRUPTED
    explanations = load("run")
    assert set(explanations.status.tolist()) == {Status.FOUND, Status.INTERRUPTED}
    after = read(folder.__class__("run"))
    unfinished = after["jaxcf_status"] == "interrupted"
    assert (after["changed"][unfinished] == 0).all()


# --- rules as text -----------------------------------------------------------------------------

SCHEMA = Schema(
    (
        Numeric("age", 18, 70, step=1.0),
        Categorical("job", ("a..b", "clerk", "pilot")),
        Ordinal("size", SIZES),
        Numeric("size:cm", 0, 10),
    )
)


def test_rules_are_read_and_joined():
    texts = ["age:increase", "age:..65", "job:a..b|clerk", "size:medium..", "size:cm:2..3.5"]
    rules = parse_rules(texts, SCHEMA)
    assert (rules["age"].increase_only, rules["age"].lower, rules["age"].upper) == (True, None, 65)
    assert rules["job"].allowed == ("a..b", "clerk")
    assert (rules["size"].lower, rules["size"].upper) == ("medium", None)
    assert (rules["size:cm"].lower, rules["size:cm"].upper) == (2.0, 3.5)
    assert parse_rules(["size:small|large", "job:frozen"], SCHEMA)["size"].allowed == (
        "small",
        "large",
    )
    assert parse_rules([], SCHEMA) == {}
    stepped = parse_rules(["age:step=5", "age:20.."], SCHEMA)["age"]
    assert (stepped.step, stepped.lower) == (5.0, 20.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age", "is no rule; expected NAME:frozen"),
        ("weight:frozen", "names no column"),
        ("age:", "says nothing of its column"),
        ("age:rising", "none for a column of numbers"),
        ("age:1..2..3", "none for a column of numbers"),
        ("age:..", "none for a column of numbers"),
        ("age:20..x", "none for a column of numbers"),
        ("age:60..20", "from 60 down to 20"),
        ("age:step=many", "no step above 0"),
        ("age:step=0", "no step above 0"),
        ("job:decrease", "needs an order"),
        ("job:clerk|sailor", "'sailor', which is no category"),
        ("job:clerk..pilot", "'clerk..pilot', which is no category"),
        ("size:..", "a range without an end"),
        ("size:tiny..", "'tiny', which is no category"),
    ],
)
def test_what_is_no_rule_is_named(text, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        parse_rules([text], SCHEMA)


def test_a_rule_given_twice_is_named():
    with pytest.raises(ValueError, match="says again"):
        parse_rules(["age:20..", "age:30..40"], SCHEMA)


def test_accuracy_is_of_rows_that_can_be_decided(tmp_path):
    lines = [f"{pay},{'yes' if pay > 20 else 'no'}" for pay in range(40)]
    (tmp_path / "train.csv").write_text("\n".join(["pay,ok", *lines]))
    (tmp_path / "test.csv").write_text("pay,ok\n1,no\n39,yes\n,no\nthirty,no\n")
    options = ["--label", "ok", "--test", str(tmp_path / "test.csv"), "-q"]
    out = tmp_path / "run"
    assert cli.main(["explain", str(tmp_path / "train.csv"), *options, "--out", str(out)]) == 0
    model = read_json(out / "config.json")["model"]
    assert (model["accuracy"], model["accuracy_rows"]) == (1.0, 2)


def test_a_column_without_a_name_is_left_out_or_numbers_the_rows(tmp_path, capsys):
    lines = [f"{n},{n % 7},{'yes' if n % 7 > 3 else 'no'}" for n in range(40)]
    (tmp_path / "train.csv").write_text("\n".join([",pay,ok", *lines]))
    explain = ["explain", str(tmp_path / "train.csv"), "--label", "ok", "--limit", "2", "-q"]
    assert cli.main([*explain, "--out", str(tmp_path / "no")]) != 0
    assert "has no name; leave it out with --drop ''" in capsys.readouterr().err
    assert cli.main([*explain, "--drop", "", "--out", str(tmp_path / "dropped")]) == 0
    assert cli.main([*explain, "--id", "", "--out", str(tmp_path / "named")]) == 0


def test_colons_may_stand_in_names_and_in_categories(tmp_path):
    times = ("9:00", "10:00")
    lines = [f"{times[n % 2]},{n},{'yes' if n % 2 else 'no'}" for n in range(40)]
    (tmp_path / "train.csv").write_text("\n".join(["at: time,pay,ok", *lines]))
    out = tmp_path / "run"
    ordinal = ["--ordinal", "at: time:9:00|10:00", "--label", "ok", "--limit", "2", "-q"]
    assert cli.main(["explain", str(tmp_path / "train.csv"), *ordinal, "--out", str(out)]) == 0
    explanations = read_run(out).explanations
    assert isinstance(explanations, TableExplanations)
    assert explanations.coding.schema.columns[0] == Ordinal("at: time", times, encoding="unit")
