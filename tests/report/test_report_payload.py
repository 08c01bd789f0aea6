"""What is written into the report: everything, exactly enough, and never as markup."""

import base64
import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from made_explanations import images, made, table, traces, with_guides

from jaxcf import Status
from jaxcf.plots import style
from jaxcf.report import write
from jaxcf.report.packing import quantise
from jaxcf.results.comparison import compare
from jaxcf.tabular import Categorical, Numeric, Relation, Rule, Schema

EVIL = "</script><img src=x onerror=alert(1)><!--"


class Page:
    """A written page, taken apart again."""

    def __init__(self, path, explanations, **options):
        write(path, explanations, **options)
        self.text = path.read_text()
        found = re.search(r'<script type="application/json" id="payload">(.*?)</script>', self.text)
        assert found
        self.payload = json.loads(found[1], parse_constant=pytest.fail)

    def array(self, name):
        described = self.payload["arrays"][name]
        blocks = re.findall(rf'id="{name}/\d+">(.*?)</script>', self.text)
        assert len(blocks) == described["blocks"]
        content = b"".join(gzip.decompress(base64.b64decode(block)) for block in blocks)
        return np.frombuffer(content, f"<{np.dtype(described['dtype']).str[1:]}").reshape(
            -1, *described["shape"]
        )

    def measure(self, key):
        return next(one["values"] for one in self.payload["measures"] if one["key"] == key)


def test_pictures_with_channels_first_are_those_with_channels_last(tmp_path):
    given = images(3, (9, 7, 3))
    way = np.stack([given.original, given.counterfactual], axis=1)
    last = replace(given, path=way)
    first = replace(
        given,
        original=np.moveaxis(given.original, -1, 1),
        counterfactual=np.moveaxis(given.counterfactual, -1, 1),
        path=np.moveaxis(way, -1, 2),
    )
    pages = [
        Page(tmp_path / "last.html", last),
        Page(tmp_path / "told.html", first),
        Page(tmp_path / "said.html", first, channels="first"),
    ]
    for page in pages[1:]:
        assert page.payload["kind"] == "picture"
        assert page.payload["contents"] == pages[0].payload["contents"]
        for name in ("original", "counterfactual", "path"):
            np.testing.assert_array_equal(page.array(name), pages[0].array(name))


def test_every_row_is_in_every_column(tmp_path):
    explanations = images(300)
    page = Page(tmp_path / "report.html", explanations)
    payload = page.payload
    assert payload["count"] == 300
    assert {len(values) for values in payload["columns"].values()} == {300}
    assert {len(one["values"]) for one in payload["measures"]} == {300}
    assert payload["columns"]["status"] == explanations.status.tolist()
    assert {one["name"] for one in payload["statuses"].values()} == {
        Status(code).name.lower() for code in explanations.status
    }
    np.testing.assert_allclose(
        [value for value in page.measure("l2") if value is not None],
        explanations.l2[explanations.status != Status.INVALID_INPUT],
        rtol=1e-4,
    )


def test_rows_without_a_number_have_none_and_not_zero(tmp_path):
    explanations = images(60)
    page = Page(tmp_path / "report.html", explanations)
    invalid = explanations.status == Status.INVALID_INPUT
    for key in ("l1", "l2", "changed", "steps", "confidence"):
        assert [value is None for value in page.measure(key)] == invalid.tolist()
    assert [value is None for value in page.measure("im1")] == (~explanations.found).tolist()


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (6, 5, 3)])
def test_pictures_are_within_half_a_step_of_their_values(tmp_path, shape):
    explanations = images(40, shape)
    page = Page(tmp_path / "report.html", explanations)
    originals = page.array("original").astype(int)
    counterfactuals = (originals + page.array("counterfactual")) % 256
    valid = explanations.status != Status.INVALID_INPUT
    for shown, given in (
        (originals, explanations.original),
        (counterfactuals, explanations.counterfactual),
    ):
        error = np.abs(shown.reshape(given.shape) / 255 - given)[valid]
        assert error.max() <= 1 / 255 / 2 + 1e-6
    assert not originals[~valid].any()


def test_quantising_is_exact_at_both_ends_of_any_range():
    assert quantise(np.array([-3.0, 5.0]), -3.0, 5.0).tolist() == [0, 255]
    assert quantise(np.array([-np.inf, np.inf, 1e30]), -3.0, 5.0).tolist() == [0, 255, 255]


def test_large_pictures_are_reduced_and_the_page_knows(tmp_path):
    facts = Page(tmp_path / "report.html", images(3, (300, 200))).payload["contents"]
    assert (facts["height"], facts["width"]) == (100, 67)
    assert (facts["givenHeight"], facts["givenWidth"]) == (300, 200)


def test_rows_of_other_shapes_have_everything_but_pictures(tmp_path):
    explanations = made(np.random.default_rng(0).random((30, 5, 5, 7)))
    page = Page(tmp_path / "report.html", explanations, traces=traces(explanations))
    assert page.payload["kind"] == "none"
    assert "original" not in page.payload["arrays"]
    assert len(page.measure("l2")) == 30
    assert page.array("probabilities").shape == (30, 2, 10)


def test_who_was_convinced_is_known_of_every_row(tmp_path):
    explanations = with_guides(images(60))
    page = Page(tmp_path / "report.html", explanations)
    assert page.payload["guided"]["agreement"] == "the model and both guides agree"
    assert page.payload["guided"]["who"] == [
        {"name": "the model", "asked": "to decide for it"},
        {"name": "careful", "asked": "to decide for it"},
        {"name": "easy", "asked": "more than 15 %"},
    ]
    aim = np.array(page.payload["guided"]["aim"])
    found, held_up = explanations.found, explanations.status == Status.GUIDE_NOT_CONVINCED
    np.testing.assert_array_equal(aim[found], explanations.counterfactual_class[found])
    said = page.array("convinced")
    assert said.shape == (60, 3, 5)
    guides = explanations.guide_probabilities
    assert guides is not None
    after = np.concatenate([explanations.probabilities[:, None], guides], axis=1)
    np.testing.assert_array_equal(said[found, :, 1], after[found, :, aim[found]])
    assert said[found, :, 4].all()
    assert held_up.any()
    assert (said[held_up, :, 4] == [1, 0, 1]).all()
    alone = Page(tmp_path / "alone.html", images(60))
    assert alone.payload["guided"] is None
    assert "convinced" not in alone.payload["arrays"]


def test_probabilities_and_losses_are_given_as_they_are(tmp_path):
    explanations = images(50)
    page = Page(tmp_path / "report.html", explanations)
    np.testing.assert_array_equal(
        page.array("probabilities"),
        np.stack([explanations.original_probabilities, explanations.probabilities], axis=1),
    )
    assert page.payload["lossTerms"] == list(explanations.losses)
    np.testing.assert_array_equal(
        page.array("losses"), np.stack(list(explanations.losses.values()), axis=1)
    )


def test_flat_rows_have_the_names_of_their_features(tmp_path):
    explanations = made(np.random.default_rng(0).random((30, 3)), 2)
    page = Page(tmp_path / "report.html", explanations, feature_names=["a", EVIL, "c"])
    assert [one["name"] for one in page.payload["contents"]["features"]] == ["a", EVIL, "c"]
    np.testing.assert_array_equal(page.array("counterfactual"), explanations.counterfactual)


def test_flat_rows_can_be_shown_in_their_units(tmp_path):
    explanations = made(np.random.default_rng(0).random((30, 2)), 2)
    offset, scale = np.array([5.0, -1.0]), np.array([2.0, 10.0])
    page = Page(
        tmp_path / "report.html",
        explanations,
        feature_units=(offset, scale),
        traces=traces(explanations),
    )
    expected = explanations.counterfactual.astype(float) * scale + offset
    np.testing.assert_array_equal(page.array("counterfactual"), expected)
    np.testing.assert_array_equal(page.array("path")[:, 0], page.array("original")[[0, 2]])


def test_a_table_is_in_original_units_to_the_bit(tmp_path):
    explanations = table(60)
    page = Page(tmp_path / "report.html", explanations)
    np.testing.assert_array_equal(page.array("original"), explanations.original_values)
    np.testing.assert_array_equal(page.array("counterfactual"), explanations.values)
    assert page.payload["classes"] == ["no", "yes"]
    assert page.payload["contents"]["features"][2]["categories"] == ["clerk", "pilot", "sailor"]
    assert page.measure("changed") == [
        None if np.isnan(values[1]) else int(changed.sum())
        for values, changed in zip(explanations.original_values, explanations.changed, strict=True)
    ]
    assert set(page.payload["messages"].values()) == {"column 'pay' is missing"}


def test_nothing_from_data_is_markup(tmp_path):
    schema = Schema(
        (
            Numeric(EVIL, 18, 90, step=1.0),
            Numeric("pay", 0.0, 100.0),
            Categorical("job", (EVIL, "pilot", "%%script%%")),
        )
    )
    page = Page(
        tmp_path / "report.html",
        table(30, schema),
        class_names=[EVIL, "%%blocks%%"],
        title=EVIL,
        config={EVIL: {"x": EVIL}, "list": [EVIL]},
    )
    assert "<img" not in page.text
    assert page.text.count("<!--") == 0
    assert page.payload["title"] == page.payload["classes"][0] == EVIL
    assert page.payload["classes"][1] == "%%blocks%%"
    assert [f"{EVIL}.x", EVIL] in page.payload["settings"]


def test_the_policy_forbids_everything_but_the_page_itself(tmp_path):
    page = Page(tmp_path / "report.html", images(2))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.text)
    assert policy
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r"(src|href)=\"?(https?:)?//", page.text)


def test_details_are_shown_at_their_points(tmp_path):
    explanations = images(20)
    searches = Page(tmp_path / "report.html", explanations, traces=traces(explanations))
    facts = searches.payload["searches"]
    assert facts["rows"] == [0, 2]
    assert facts["evaluations"] == [[0, 1, 2, 4, 8], [0, 1, 2, 4]]
    assert facts["nearestPresent"] == [[True, True], [True, False]]
    assert facts["lossTerms"] == ["l1", "prototype"]
    path = searches.array("path")
    np.testing.assert_array_equal(path[0, 0], searches.array("original")[0])
    assert searches.array("searchLosses").shape == (2, 2, 9)


def test_details_of_a_table_are_in_original_units(tmp_path):
    explanations = table(20)
    page = Page(tmp_path / "report.html", explanations, traces=traces(explanations.core))
    path = page.array("path")
    assert path.shape == (2, 5, 3)
    np.testing.assert_array_equal(path[:, 0], explanations.original_values[[0, 2]])
    assert np.isin(path[0, :, 2], [0, 1, 2]).all()


def test_long_paths_are_thinned_and_keep_both_ends(tmp_path):
    from dataclasses import replace

    explanations = images(2, (4, 4))
    points = np.repeat(explanations.original[:, None], 100, axis=1)
    points[1, 40:] = np.nan
    history = {"l1": np.zeros((2, 100), np.float32)}
    page = Page(tmp_path / "report.html", replace(explanations, path=points, history=history))
    first, second = page.payload["searches"]["evaluations"]
    assert (first[0], first[-1], second[0], second[-1]) == (0, 99, 0, 39)
    assert len(first) == len(second) == page.array("path").shape[1] <= 12


def test_several_counterfactuals_of_a_row_say_whose_they_are(tmp_path):
    from dataclasses import replace

    explanations = replace(images(6, (4, 4)), source_row=np.array([0, 0, 1, 1, 2, 2]))
    page = Page(tmp_path / "report.html", explanations)
    assert page.payload["columns"]["sourceRow"] == [0, 0, 1, 1, 2, 2]


def test_the_other_run_of_a_comparison_is_shown_beside(tmp_path):
    from dataclasses import replace

    first = images(20)
    second = replace(first, counterfactual=first.original)
    page = Page(
        tmp_path / "report.html", first, comparison=compare(first, second, names=("A", EVIL))
    )
    assert page.payload["comparison"]["names"] == ["A", EVIL]
    assert not page.array("other").any()  # as differences from the originals


def test_an_empty_run_has_a_report_too(tmp_path):
    page = Page(tmp_path / "report.html", images(20)[:0])
    assert page.payload["count"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_names": ["one"]}, "1 class names; the model has 10"),
        ({"feature_names": ["one"]}, "1 feature names; the rows have 3"),
        ({"feature_units": (np.zeros(3), np.ones(2))}, "each of 3 features"),
        ({"traces": traces(made(np.zeros((9, 3))), (0, 8))}, "rows up to 8"),
        ({"traces": traces(made(np.zeros((2, 4))), (0, 1))}, r"shape \(4,\)"),
        ({"true_classes": [0, 1]}, "and there is a row 4"),
        ({"true_classes": [0, 1, 2, 3, "cat"]}, "the true class 'cat' is none"),
        ({"true_classes": np.eye(5)}, r"shape \(5, 5\)"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "report.html", made(np.zeros((5, 3))), **options)
    assert not list(tmp_path.iterdir())


def test_rules_of_other_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="are for age, those of the run for none"):
        write(tmp_path / "report.html", table(5), rules={"age": Rule(frozen=True)})


def test_rows_are_called_what_their_owner_calls_them(tmp_path):
    explanations = table(20)
    assert Page(tmp_path / "report.html", explanations).payload["labels"] is None
    numbered = explanations.with_labels(np.arange(20))
    assert Page(tmp_path / "report.html", numbered).payload["labels"] is None
    names = [f"client {row} {EVIL}" for row in range(20)]
    chosen = explanations.with_labels(names)[[5, 3, 3]]
    page = Page(tmp_path / "report.html", chosen)
    assert page.payload["labels"] == [names[row] for row in chosen.source_row]
    assert EVIL not in page.text


def test_the_question_says_what_was_asked_under_which_rules(tmp_path):
    people = replace(table(20), ruled=("age", "pay", "job"))
    people = people[people.core.found & (people.core.counterfactual_class == 1)]
    people = replace(people, core=replace(people.core, target_class=np.ones(len(people), int)))
    rules = {
        "age": Rule(increase_only=True, upper=65),
        "pay": Rule(frozen=True),
        "job": Rule(frozen=True),
    }
    options = {"model": "a forest, right for 93 % of 500 rows", "rules": rules}
    page = Page(tmp_path / "report.html", people, **options)
    assert page.payload["question"]["sentence"] == (
        "What would have to be different for the model (a forest, right for 93 % of 500 rows) to "
        "decide “yes”, where age may only rise and is at most 65 and pay and job stay as they are?"
    )
    others = replace(people, core=replace(people.core, target_class=people.core.target_class - 1))
    asked = Page(tmp_path / "others.html", others).payload["question"]["sentence"]
    assert "to decide otherwise" in asked  # the answers are of another class than the prototypes
    named = Page(tmp_path / "named.html", people).payload["question"]["sentence"]
    assert named.endswith("to decide “yes”, under rules for age, pay and job?")
    relations = [Relation("pay <= 50"), Relation("age <= 70"), Relation("pay >= 1")]
    many = Page(tmp_path / "many.html", people, **options, relations=relations)
    assert many.payload["question"]["sentence"].endswith("stay as they are and 3 more rules hold?")
    assert many.payload["question"]["rules"][2:] == ["pay <= 50", "age <= 70", "pay >= 1"]


def test_what_rows_really_are_says_how_good_the_model_is(tmp_path):
    twice = replace(images(20), source_row=np.arange(20) // 2)
    truth = np.full(10, -1)
    truth[:4] = twice.original_class[:8:2]
    truth[0] = (truth[0] + 1) % 10
    page = Page(tmp_path / "report.html", twice, true_classes=truth)
    assert page.payload["columns"]["trueClass"] == truth[twice.source_row].tolist()
    known = (twice.original_class[:8:2] >= 0).sum()
    right = f"{100 * (known - 1) / known:.3g} %"
    assert f"(right for {right} of these {known} rows)" in page.payload["question"]["sentence"]
    assert "trueClass" not in Page(tmp_path / "none.html", twice).payload["columns"]


def test_examples_are_rows_that_were_found(tmp_path):
    people = table(60)
    page = Page(tmp_path / "report.html", people)
    assert len(page.payload["examples"]) == 3
    glance = page.payload["glance"]
    assert people.found[page.payload["examples"]].all()
    assert people.found[glance["rows"]].all()
    lost = people[~people.found]
    nothing = Page(tmp_path / "lost.html", lost).payload
    assert (nothing["examples"], nothing["glance"]) == ([], None)


def test_the_page_has_the_colours_of_the_pictures(tmp_path):
    text = Page(tmp_path / "report.html", images(2)).text
    for name, colour in (
        ("accent", style.MAIN.area),
        ("good", style.FOUND.area),
        ("bad-text", style.MISSED.on_light),
        ("darker", style.DARKER),
        ("changed", style.CHANGED),
    ):
        assert f"--{name}: {colour};" in text
