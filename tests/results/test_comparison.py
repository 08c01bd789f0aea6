"""Two runs compared: over the same rows, pair by pair, and no failure in a mean."""

from dataclasses import replace

import numpy as np
import pytest
from made_explanations import SCHEMA, images, made, table

from jaxcf import Status
from jaxcf.metrics import mean_interval
from jaxcf.results.comparison import compare
from jaxcf.tabular import Numeric, Schema


@pytest.fixture(scope="module")
def first():
    return images(200, (6, 6))


@pytest.fixture(scope="module")
def second(first):
    """The same rows; some lost, some won, all that both found ten steps later."""
    status = first.status.copy()
    status[:4] = Status.NOT_FOUND, Status.FOUND, Status.NOT_FOUND, Status.FOUND
    return replace(first, status=status, steps=first.steps + 10)


def test_every_row_is_counted_once(first, second):
    compared = compare(first, second)
    ours, theirs = first.found, second.found
    already = first.status == Status.ALREADY_IN_TARGET
    already |= second.status == Status.ALREADY_IN_TARGET
    assert sum(compared.counts.values()) == len(compared) == 200
    assert compared.counts == {
        "both": (ours & theirs).sum(),
        "only_first": (ours & ~theirs).sum(),
        "only_second": (theirs & ~ours).sum(),
        "neither": (~ours & ~theirs & ~already).sum(),
        "already_in_target": (~ours & ~theirs & already).sum(),
    }
    assert compared.counts["only_first"] == 2
    assert compared.counts["only_second"] == 1


def test_means_are_over_the_rows_that_both_found(first, second):
    absurd = second.steps.copy()
    absurd[~(first.found & second.found)] = 10**6
    steps = compare(first, replace(second, steps=absurd)).differences["steps"]
    both = first.found & second.found
    assert steps.first == first.steps[both].mean()
    assert steps.second == steps.first + 10
    assert steps.difference == (10.0, 10.0, 10.0, both.sum())


def test_differences_are_paired(first):
    noisy = first.steps + np.random.default_rng(0).integers(-2, 4, len(first))
    steps = compare(first, replace(first, steps=noisy)).differences["steps"].difference
    found = first.found
    assert steps == mean_interval((noisy - first.steps)[found].astype(float))
    apart = mean_interval(first.steps[found].astype(float))
    assert steps.upper - steps.lower < (apart.upper - apart.lower) / 10


def test_rows_without_a_score_are_in_neither_mean(first):
    scores = dict(first.scores)
    scores["im1"] = scores["im1"].copy()
    scores["im1"][:100] = np.nan
    im1 = compare(first, replace(first, scores=scores)).differences["im1"]
    later = first.found & (np.arange(200) >= 100)
    assert im1.difference.n == later.sum()
    assert im1.first == im1.second == pytest.approx(first.scores["im1"][later].mean())


def test_only_scores_that_both_have_are_compared(first):
    other = replace(first, scores={"im1": first.scores["im1"], "own": first.scores["im1"]})
    names = compare(first, other).differences
    assert "im1" in names
    assert not {"own", "oracle"} & set(names)


def test_the_elastic_net_is_measured_with_one_beta(first):
    other = replace(first, settings={"objective": {"weights": {"l1": 7.0}}})
    assert compare(first, other).differences["elastic_net"].difference.mean == 0


def test_where_no_row_is_found_by_both_there_is_no_mean(first):
    nothing = replace(first, status=np.full(200, Status.NOT_FOUND))
    summary = compare(first, nothing, names=("A", "B")).summary()
    assert summary["found"]["both"] == 0
    assert summary["differences"]["steps"]["difference"] is None
    assert summary["differences"]["steps"]["n"] == 0


def test_tables_are_compared_in_columns_and_distances_only_if_they_agree():
    people = table(40)
    assert {"l1", "changed"} <= set(compare(people, people).differences)
    core = replace(people.core, original=people.core.original * 2)
    other = replace(people, core=core)  # as if categories had been given other numbers
    names = compare(people, other).differences
    assert "changed" in names
    assert not {"l1", "l2", "elastic_net"} & set(names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e[:5], "200 and 5 rows"),
        (lambda e: images(200, (6, 5)), r"shape \(6, 6\) and \(6, 5\)"),
        (lambda e: e[::-1], "differ, the first is row 0"),
        (lambda e: replace(e, source_row=e.source_row // 2), "which row each counterfactual"),
    ],
)
def test_runs_over_other_rows_are_refused(first, change, message):
    with pytest.raises(ValueError, match=message):
        compare(first, change(first))


def test_tables_of_other_columns_and_other_kinds_are_refused():
    people = table(10)
    other = Schema((Numeric("age", 18, 80, step=1.0), *SCHEMA.columns[1:]))
    with pytest.raises(ValueError, match="differ in their columns: age"):
        compare(people, table(10, other))
    with pytest.raises(TypeError, match="two of a kind"):
        compare(people, people.core)


def test_two_kinds_of_rows_with_nan_in_the_same_places_are_the_same():
    rows = made(np.random.default_rng(0).random((20, 3)))
    assert np.isnan(rows.original).any()
    assert compare(rows, rows).counts["both"] == rows.found.sum()


def test_a_comparison_prints_as_tables_of_what_it_found(first, second):
    compared = compare(first, second, names=("near", "<far>"))
    lines = str(compared).splitlines()
    assert lines[0] == "near and <far>: 200 rows"
    assert "  found only by <far>           1" in lines
    (steps,) = [line for line in lines if line.startswith("  steps ")]
    one = compared.differences["steps"]
    assert steps.split()[1:3] == [f"{one.first:.4g}", f"{one.second:.4g}"]
    assert steps.endswith(str(one.difference))
    # Columns end below each other.
    assert len({len(line) for line in lines[lines.index(steps) - 1 :]}) == 1
    page = compared._repr_html_()
    assert "<far>" not in page
    assert page.count("<tr>") == len(lines) - 2


def test_two_runs_over_a_table_print_too():
    people = table(40)
    shown = str(compare(people, people))
    assert f"found by both               {people.found.sum()}" in shown
    empty = people[:0]
    assert "means over the 0 rows" in str(compare(empty, empty))
