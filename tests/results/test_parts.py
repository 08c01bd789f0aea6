"""The parts of a job: which rows count is read off names; each is refused or can be used."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_explanations import table

from jaxcf.jobs.writing import unit_of
from jaxcf.results.parts import (
    FORMAT,
    SCHEMA_VERSION,
    JobFolder,
    Part,
    Rows,
    digest_of,
    gaps_in,
    job_id,
    pieces_of,
)
from jaxcf.tabular import TableExplanations
from jaxcf.tabular.explanations import described
from jaxcf.utils.json_files import read_json, write_json

MADE = table(12)

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=12)


@given(RANGES)
def test_every_row_counts_once_and_all_others_are_missing(ranges):
    parts = [Part(Rows(start, start + size), str(n)) for n, (start, size) in enumerate(ranges)]
    pieces = pieces_of(parts)
    there = {row for part in parts for row in range(*part.rows)}
    counted = [row for piece in pieces for row in range(*piece.rows)]
    assert counted == sorted(there)
    for piece in pieces:
        assert piece.part.rows.start <= piece.rows.start < piece.rows.stop <= piece.part.rows.stop
    missing = [row for gap in gaps_in(pieces, Rows(0, 50)) for row in range(*gap)]
    assert missing == sorted(set(range(50)) - there)
    assert pieces == pieces_of(parts[::-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A job of a table in two parts."""
    place = tmp_path_factory.mktemp("job")
    core = {"format": "jaxcf.explanations", "schema_version": 2}
    job = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "rows": 12,
        "rows_per_unit": 6,
        "asked": {},
        "described": described(MADE.coding, MADE.class_names, MADE.ruled) | {"explanations": core},
        "notes": {},
    }
    write_json(place / "job.json", {"id": job_id(job), **job})
    folder = JobFolder.open(place)
    for start in (0, 6):
        rows = Rows(start, start + 6)
        part = MADE[start : start + 6]
        core_of_part = storage_rows(part)
        unit = unit_of(rows, core_of_part, "")
        folder.write(rows, unit.arrays, unit.derived, {"settings": {}, "problems": unit.problems})
    return folder


def storage_rows(part):
    """Explanations whose source rows count from the first of them."""
    from dataclasses import replace

    return replace(part, core=replace(part.core, source_row=np.arange(len(part))), problems={})


def test_a_table_comes_back_from_its_parts(folder):
    loaded = TableExplanations.load(folder.path)
    np.testing.assert_array_equal(loaded.values, MADE.values)
    np.testing.assert_array_equal(loaded.core.counterfactual, MADE.core.counterfactual)
    np.testing.assert_array_equal(loaded.source_row, np.arange(12))
    assert loaded.class_names == MADE.class_names


def test_a_part_whose_content_was_changed_under_its_name_is_refused_or_can_be_used(
    folder, tmp_path
):
    chance = random.Random(0)
    content = folder.content_of(folder.pieces()[0].part)
    refused = 0
    for _ in range(60):
        changed = bytearray(content)
        for _ in range(chance.choice((1, 1, 8))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        place = tmp_path / str(chance.random())
        (place / "parts").mkdir(parents=True)
        (place / "job.json").write_bytes((folder.path / "job.json").read_bytes())
        part = Part(Rows(0, 6), digest_of(bytes(changed)))
        (place / "parts" / part.name).write_bytes(changed)
        job = JobFolder.open(place)
        try:
            read = TableExplanations.read(place, job.read(job.pieces()[0]))
        except ValueError:
            refused += 1
            continue
        read.summary()
        repr([read.changes(row) for row in range(len(read))])
    assert refused > 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": -1}, "'rows' is -1"),
        ({"rows": "many"}, "'rows' is 'many'"),
        ({"rows": 13}, "its id isn't that of what it holds"),
        ({"schema_version": 99}, "has schema version 99"),
        ({"format": "jaxcf.details"}, "holds no job but 'jaxcf.details'"),
        ({"notes": None}, "'notes' is None"),
    ],
)
def test_a_damaged_job_file_is_refused(folder, tmp_path, change, message):
    job = read_json(folder.path / "job.json")
    write_json(tmp_path / "job.json", job | change)
    with pytest.raises(ValueError, match=message):
        JobFolder.open(tmp_path)
