import numpy as np
import pytest
from PIL import Image

from jaxcf.data import image_folder, read_csv


@pytest.fixture
def pets(tmp_path):
    root = tmp_path / "pets"
    for base, animal in enumerate(("dog", "cat")):
        (root / animal).mkdir(parents=True)
        for number in range(8):
            colour = (100 * base + number, 50, 200)
            Image.new("RGB", (12, 10), colour).save(root / animal / f"{number}.png")
    return root


def test_images_become_a_data_set(pets):
    data = image_folder(pets, image_size=6)
    assert data.name == "pets"
    assert data.class_names == ("cat", "dog")
    assert data.x_train.shape == (12, 6, 6, 3)
    assert np.bincount(data.y_train).tolist() == [6, 6]
    assert np.bincount(data.y_test).tolist() == [2, 2]
    red = np.concatenate([data.x_train, data.x_test])[:, 0, 0, 0] * 255
    labels = np.concatenate([data.y_train, data.y_test])
    np.testing.assert_array_equal(np.rint(red) >= 100, labels == 0)
    assert len(np.unique(np.rint(red))) == 16


def test_the_order_depends_on_the_seed_and_on_nothing_else(pets):
    first = image_folder(pets, image_size=6, seed=5)
    again = image_folder(str(pets), image_size=6, seed=5)
    other = image_folder(pets, image_size=6, seed=6)
    np.testing.assert_array_equal(first.x_train, again.x_train)
    np.testing.assert_array_equal(first.x_test, again.x_test)
    assert not np.array_equal(first.x_test, other.x_test)


def test_grey_levels_and_a_name(pets):
    data = image_folder(pets, image_size=5, grayscale=True, name="grey pets")
    assert data.shape == (5, 5, 1)
    assert data.name == "grey pets"


def test_transparent_palette_and_turned_images(pets):
    Image.new("RGBA", (9, 9), (1, 2, 3, 0)).save(pets / "cat" / "clear.png")
    palette = Image.new("P", (9, 9))
    palette.save(pets / "cat" / "palette.gif", transparency=0)
    turned = Image.new("L", (4, 4))
    turned.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 3
    turned.save(pets / "cat" / "turned.png", exif=exif)
    data = image_folder(pets, image_size=4, grayscale=True)
    images = np.concatenate([data.x_train, data.x_test])[..., 0]
    bright = images[images.max(axis=(1, 2)) == 1]
    assert len(images) == 19
    assert bright[0, 3, 3] == 1


def test_hidden_files_are_skipped(pets):
    (pets / ".hidden").mkdir()
    (pets / "cat" / ".shadow").write_text("not an image")
    (pets / "notes.txt").write_text("beside the classes")
    assert len(image_folder(pets, image_size=4).x_train) == 12


def test_unreadable_files_are_named(pets):
    (pets / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    (pets / "dog" / "notes.txt").write_text("not an image")
    (pets / "dog" / "puppies").mkdir()
    whole = (pets / "dog" / "0.png").read_bytes()
    (pets / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="holds 4 entries that cannot be read") as caught:
        image_folder(pets, image_size=4)
    for name in ("cat/broken.png", "dog/cut.png", "dog/notes.txt", "dog/puppies (a folder)"):
        assert name in str(caught.value)


def test_many_unreadable_files_are_counted(pets):
    for number in range(14):
        (pets / "cat" / f"{number}.txt").write_text("")
    with pytest.raises(ValueError, match=r"holds 14 entries.* and 4 more\. Move"):
        image_folder(pets, image_size=4)


def test_wrong_folders(tmp_path, pets):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        image_folder(tmp_path / "absent", image_size=4)
    with pytest.raises(ValueError, match="holds 0 folders; expected one folder of images per"):
        image_folder(pets / "cat", image_size=4)
    (pets / "bird").mkdir()
    with pytest.raises(ValueError, match="fewer than 2 rows of class bird"):
        image_folder(pets, image_size=4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"image_size": 0}, ValueError, "image_size is 0"),
        ({"image_size": "4"}, TypeError, "image_size must be an integer, got str"),
        ({"image_size": 4, "test_fraction": 2}, ValueError, "test_fraction is 2"),
        ({"image_size": 4, "seed": -3}, ValueError, "seed is -3"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_folder_options(pets, options, error, message):
    with pytest.raises(error, match=message):
        image_folder(pets, **options)


GOOD = "age,sum,paid\n" + "30,100,yes\n40,300,no\n35, 150 ,yes\n38,1e2,no\n" * 2


def write(tmp_path, text):
    file = tmp_path / "loans.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_numbers_become_a_table(tmp_path):
    table = read_csv(write(tmp_path, GOOD), label="paid", test_fraction=0.5)
    assert table.name == "loans"
    assert table.kind == "table"
    assert table.class_names == ("no", "yes")
    assert table.feature_names == ("age", "sum")
    assert np.bincount(table.y_train).tolist() == np.bincount(table.y_test).tolist() == [2, 2]
    rows = np.concatenate([table.to_original(table.x_train), table.to_original(table.x_test)])
    assert sorted(np.rint(rows[:, 0]).tolist()) == [30, 30, 35, 35, 38, 38, 40, 40]
    assert sorted(np.rint(rows[:, 1]).tolist()) == [100, 100, 100, 100, 150, 150, 300, 300]
    again = read_csv(write(tmp_path, GOOD), label="paid", test_fraction=0.5)
    np.testing.assert_array_equal(table.x_test, again.x_test)


def test_labels_that_are_integers_are_in_the_order_of_numbers(tmp_path):
    text = "class,x\n" + "".join(f"{number % 11},{number}\n" for number in range(44))
    table = read_csv(write(tmp_path, text), label="class")
    assert table.class_names == tuple(str(number) for number in range(11))


def test_byte_order_mark_blank_lines_quotes_and_other_delimiters(tmp_path):
    text = '\ufeff"x; y";z;kind\n1;2;a\n\n3;4;b\n"5";6;a\n7;8;b\n'
    table = read_csv(write(tmp_path, text), label="kind", delimiter=";", name="quoted")
    assert table.feature_names == ("x; y", "z")
    assert len(table.x_train) + len(table.x_test) == 4


def test_numbers_as_they_are_written_elsewhere(tmp_path):
    text = "Alter;Größe;kind\n30;1.200,50;a\n40;0,5;b\n50;7;a\n60;8;b\n"
    (tmp_path / "de.csv").write_bytes(text.encode("latin-1"))
    table = read_csv(tmp_path / "de.csv", label="kind", test_fraction=0.5)
    assert table.feature_names == ("Alter", "Größe")
    rows = np.concatenate([table.to_original(table.x_train), table.to_original(table.x_test)])
    np.testing.assert_allclose(sorted(rows[:, 1]), [0.5, 7, 8, 1200.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD + "?,1,no\n\n1,,no\nNA,2,\n",
            r"'age' \(2, the first in line 10: '\?'\), 'sum' \(1, .* 12: ''\), 'paid' \(1, .* 13",
        ),
        (GOOD + "1;5,1,no\n", "line 10: column 'age' holds '1;5'"),
        (GOOD + "50%,1,no\n", "line 10: column 'age' holds '50%'.*written as in the other lines"),
        (GOOD + "1,inf,no\n", "line 10: column 'sum' holds 'inf'; expected a finite number"),
        (GOOD + "old,1,no\n", "line 10: column 'age' holds 'old'.*see jaxcf.tabular"),
        (GOOD + "1,no\n", "line 10: 2 values; expected 3"),
        (GOOD + '1,"2,no\n', "cannot be read after line 10"),
        (GOOD + "1,2,maybe\n", "fewer than 2 rows of class maybe"),
        ("age,age,paid\n1,2,no\n", "names the column 'age' twice"),
        ("age,paid\n", "holds no rows"),
        ("", "holds no rows"),
        ("paid\nyes\nno\n", "only the label column"),
        ("age,income\n1,2\n", "has no column 'paid' for the label; it has age, income"),
    ],
)
def test_wrong_tables(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_csv(write(tmp_path, text), label="paid")


def test_wrong_table_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_csv(tmp_path / "absent.csv", label="paid")
    file = write(tmp_path, GOOD)
    with pytest.raises(ValueError, match="delimiter is ';;'; expected one character"):
        read_csv(file, label="paid", delimiter=";;")
    with pytest.raises(ValueError, match="test_fraction is 0"):
        read_csv(file, label="paid", test_fraction=0)
    file.write_bytes(b"PK\x03\x04\x00\x00,1\n")
    with pytest.raises(ValueError, match=r"is no text file.*Export a spreadsheet as CSV"):
        read_csv(file, label="paid")
