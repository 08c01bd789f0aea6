"""Tables that lack entries, on the command line: refused with a way out, filled in, left out."""

import argparse
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from jaxcf.cli import main as cli
from jaxcf.cli.commands import TABLE_DEFAULTS
from jaxcf.cli.table_missing import settle_missing, split_rows
from jaxcf.data import read_table

# German: a semicolon, a decimal comma, Latin-1, and gaps of every kind.
TEXT = """Alter;Größe;Beruf;quote;tag;paid
NA;1.200,50;Bäcker;10%;1.2.2020;yes
30;;Bäcker;20%;2.2.2020;no
41;3,5;?;30%;3.2.2020;yes
50;0,5;clerk;40%;4.2.2020;no
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    lines: list[Any] = list(TEXT.splitlines(keepends=True))
    for _ in range(60):
        age, rate = generator.integers(20, 70), generator.integers(1, 90)
        job = generator.choice(["Bäcker", "clerk"])
        paid = "yes" if age + rate > 90 else "no"
        lines.append(
            f"{age};{age / 10:.1f}".replace(".", ",") + f";{job};{rate}%;5.2.2020;{paid}\n"
        )
    (tmp_path / "t.csv").write_bytes("".join(lines).encode("latin-1"))
    return "t.csv"


def asked(**given):
    return argparse.Namespace(
        **dict(TABLE_DEFAULTS) | {"data": "t.csv", "label": "paid", "test": None} | given
    )


def settled(text, tmp_path, **given):
    options = asked(data=str(tmp_path / "u.csv"), **given)
    (tmp_path / "u.csv").write_text(text, encoding="utf-8")
    rows = split_rows(options, read_table(options.data), options.data)
    return settle_missing(options, rows, None)


def test_the_refusal_names_all_columns_and_the_flags(file, capsys):
    assert cli.main(["explain", file, "--label", "paid", "-q"]) == 1
    said = capsys.readouterr().err
    assert "missing in 3 of 64 rows: of 'Alter' in 1, 'Größe' in 1, 'Beruf' in 1" in said
    for flag in ("--drop COLUMN", "--fill median", "--drop-missing", "--missing TEXT"):
        assert flag in said
    assert cli.main(["explain", file, "--label", "paid", "-q", "--fill", "median"]) == 1
    assert "'tag' holds dates, such as '1.2.2020'" in capsys.readouterr().err


@pytest.mark.parametrize(("fill", "age"), [("median", 41), ("mode", 30)])
def test_gaps_are_filled_with_what_training_rows_have(tmp_path, fill, age):
    text = TEXT + "30;9,5;Bäcker;50%;5.2.2020;yes\n" * 2 + "60;9,5;clerk;50%;5.2.2020;no\n" * 2
    train, test, asked_for = settled(text, tmp_path, fill=fill)
    assert test is None
    assert asked_for is train
    ages = train.columns["Alter"]
    assert ages.dtype == np.int64  # floats for its gaps alone
    assert ages.tolist() == [age, 30, 41, 50, 30, 30, 60, 60]
    assert train.columns["Größe"][1] == 9.5
    assert train.columns["Beruf"][2] == "Bäcker"


def test_incomplete_rows_are_left_out_of_training_but_keep_their_place(tmp_path):
    text = TEXT + "60;9,5;clerk;50%;5.2.2020;\n"
    with pytest.raises(ValueError, match=r"no 'paid', the first is row 4 .*--drop-missing"):
        settled(text, tmp_path)
    train, _, asked_for = settled(text, tmp_path, drop_missing=True)
    assert train.columns["Alter"].tolist() == [50]
    assert train.columns["Alter"].dtype == np.int64
    assert train.labels is not None
    assert train.labels.tolist() == ["no"]
    assert len(asked_for) == 5
    with pytest.raises(ValueError, match=r"leaves no row of .*: entries are missing in 3 of 3"):
        settled("".join(TEXT.splitlines(keepends=True)[:4]), tmp_path, drop_missing=True)


def test_a_pipeline_that_imputes_gets_the_gaps(file, capsys):
    columns = read_table(file)
    labels = columns.pop("paid").astype(str)
    columns.pop("tag")
    table = pd.DataFrame(columns)
    names = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    prepare = make_column_transformer(
        (SimpleImputer(), ["Alter", "Größe", "quote"]), (names, ["Beruf"])
    )
    linear = LogisticRegression(C=1e-3, solver="newton-cholesky")
    joblib.dump(make_pipeline(prepare, linear).fit(table, labels), "imputes.joblib")
    strict = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["Beruf"]), remainder="passthrough"), linear
    )
    whole = ~table.isna().any(axis=1)
    joblib.dump(strict.fit(table[whole], labels[whole]), "strict.joblib")
    arguments = ["explain", file, "--label", "paid", "--drop", "tag", "-q", "--details", "0"]
    arguments += ["--trust-model-file", "--out", "run", "--model"]
    assert cli.main([*arguments, "strict.joblib"]) == 1
    said = capsys.readouterr().err
    assert "'Alter' in 1, 'Größe' in 1, 'Beruf' in 1, and the model in strict.joblib fails" in said
    assert cli.main([*arguments, "imputes.joblib", "--limit", "8"]) == 0
    after = read_table("run/counterfactuals.csv")
    assert len(after["row"]) == 8
    assert set(after["status"]) <= {"found", "not_found"}
    gaps = table.head(8).isna()
    for name in ("Alter", "Größe", "Beruf"):
        left_out = [one is None or one != one for one in after[name].tolist()]
        assert left_out == gaps[name].tolist()
