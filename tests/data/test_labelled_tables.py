"""CSV files of mixed columns: what is a number, what a name, and what is wrong with a file."""

import math

import numpy as np
import pytest

from jaxcf import data
from jaxcf.data.labelled_tables import LabelledTable, find_adult

HEADER = "age,pay,job,income\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_numbers_are_recognised_and_all_else_is_text(tmp_path):
    file = write(
        tmp_path / "people.csv",
        "age, pay, job, code, nothing\n30, 1.5, clerk, 1,\n40, , ?, x,\n50, 2e3, '', 3,\n",
    )
    columns = data.read_table(file)
    assert {name: column.dtype.kind for name, column in columns.items()} == {
        "age": "i",
        "pay": "f",
        "job": "O",
        "code": "O",
        "nothing": "O",
    }
    assert columns["pay"].tolist()[::2] == [1.5, 2000.0]
    assert math.isnan(columns["pay"][1])
    assert columns["job"].tolist() == ["clerk", None, "''"]
    assert columns["nothing"].tolist() == [None] * 3
    kept = data.read_table(file, missing=("",))
    assert kept["job"].tolist() == ["clerk", "?", "''"]


def test_what_stands_for_missing_is_missing_in_numbers_and_names(tmp_path):
    markers = ["", "?", "NA", "n/a", "#N/A", "<NA>", "nan", "NULL", "None"]
    lines = "".join(f"{one},{one},{row}\n" for row, one in enumerate(markers))
    columns = data.read_table(write(tmp_path / "a.csv", "pay,job,n\n1.5,clerk,9\n" + lines))
    assert columns["pay"].dtype == np.float64
    assert np.isnan(columns["pay"]).sum() == len(markers)
    assert columns["job"].tolist() == ["clerk", *[None] * len(markers)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_the_delimiter_and_the_encoding_are_found_out(tmp_path, delimiter, encoding):
    text = 'naïve name~age~"a, b; c"\nJosé~30~x,y\nZoë~40~z\n'.replace("~", delimiter)
    text = text.replace("x,y", '"x,y"')
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    columns = data.read_table(tmp_path / "a.csv")
    assert list(columns) == ["naïve name", "age", "a, b; c"]
    assert columns["naïve name"].tolist() == ["José", "Zoë"]
    assert columns["age"].tolist() == [30, 40]
    assert columns["a, b; c"].tolist() == ["x,y", "z"]


def test_text_stays_text_like_in_another_file(tmp_path):
    first = data.read_table(write(tmp_path / "a.csv", "code,n\n1,1\nx,2\n"))
    second = data.read_table(write(tmp_path / "b.csv", "code,n\n1,1\n2,2\n"), like=first)
    assert second["code"].tolist() == ["1", "2"]
    assert second["n"].tolist() == [1, 2]


def test_huge_whole_numbers_keep_their_digits(tmp_path):
    huge, gap = 10**20 + 1, 2**53 + 1
    text = f"n,with gap,small\n1,,\n{huge},{gap},7\n"
    first = data.read_table(write(tmp_path / "a.csv", text))
    for columns in (first, data.read_table(tmp_path / "a.csv", like=first)):
        assert columns["n"].tolist() == [1, huge]
        assert columns["with gap"].tolist() == [None, gap]
        assert columns["small"].dtype == np.float64


def test_columns_of_names_stay_as_they_are_written(tmp_path):
    file = write(
        tmp_path / "a.csv", "id,label,band,n\nNA,01,18_25,1\nnull,1,26_35,NA\n,NA,36_99,2\n"
    )
    columns = data.read_table(file, as_text=("label", "elsewhere"), as_written=("id",))
    assert columns["id"].tolist() == ["NA", "null", None]
    assert columns["label"].tolist() == ["01", "1", None]
    assert columns["band"].tolist() == ["18_25", "26_35", "36_99"]
    np.testing.assert_array_equal(columns["n"], [1, np.nan, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1\n", "line 2: 1 values; expected 2"),
        ("a,a\n1,2\n", "twice"),
        ("a,b\n", "no rows"),
        ("", "no rows"),
    ],
)
def test_damaged_files_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        data.read_table(write(tmp_path / "a.csv", text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        data.read_table(tmp_path / "nowhere.csv")


def test_the_label_is_split_off():
    columns = {"age": np.array([30, 40]), "paid": np.array([1, 0])}
    table = data.split_label(columns, "paid")
    assert list(table.columns) == ["age"]
    assert table.class_names == ("0", "1")
    assert table.classes().tolist() == [1, 0]
    assert table.take([1]).classes(("0", "1")).tolist() == [0]
    with pytest.raises(ValueError, match="has no column 'pay'; it has age, paid"):
        data.split_label(columns, "pay")
    with pytest.raises(ValueError, match="only the label column"):
        data.split_label({"paid": columns["paid"]}, "paid")
    gaps = np.array(["yes", None], object)
    with pytest.raises(ValueError, match="1 rows of the table have no 'paid', the first is row 1"):
        data.split_label({"age": columns["age"], "paid": gaps}, "paid")
    with pytest.raises(ValueError, match="'no' is none of the classes yes"):
        LabelledTable({}, np.array(["no"], object)).classes(("yes",))


@pytest.mark.parametrize("folder", ["", "adult"])
def test_adult_is_found_in_either_place(tmp_path, folder):
    write(tmp_path / folder / "train.csv", HEADER + "30,1,clerk,<=50K\n40,2,?,>50K\n")
    write(tmp_path / folder / "test.csv", HEADER + "30,1,clerk,<=50K.\n")
    train, test = data.read_adult(tmp_path)
    assert (len(train), len(test)) == (2, 1)
    assert train.class_names == ("<=50K", ">50K")
    assert test.classes(train.class_names).tolist() == [0]


def test_where_adult_is_absent_the_error_says_where_to_get_it(tmp_path):
    write(tmp_path / "train.csv", HEADER)
    with pytest.raises(FileNotFoundError, match=r"train.csv and test.csv.*fetch_openml.*UCI"):
        find_adult(tmp_path)
    with pytest.raises(ValueError, match="'adult' needs data_dir="):
        find_adult(None)


def test_numbers_of_another_file_are_read_as_they_are_written_there(tmp_path):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("pay;share;age\n2.838,5;55%;30\n931;7%;31\n")
    test.write_text("pay;share;age\n2.200;50%;32\n3.100;x;33\n")
    known = data.read_table(train)
    read = data.read_table(test, like=known, alike=train)
    assert read["pay"].tolist() == [2200, 3100]
    assert read["age"].tolist() == [32, 33]
    np.testing.assert_array_equal(read["share"], [50.0, np.nan])
    test.write_text("pay;share;age\n2.200;0.5;32\n")
    with pytest.raises(ValueError, match=r"'share' of .*test.csv holds '0.5', which isn't written"):
        data.read_table(test, like=known, alike=train)
