"""The report in a browser, with 10,000 rows: each filter, sort, click and key does what it says."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from browsers import CHROMIUM, chromium
from made_explanations import OTHER_ENDS, images, made, table, traces, with_guides

from jaxcf import Status
from jaxcf.report import write
from jaxcf.report.packing import quantise
from jaxcf.results.comparison import compare

pytest.importorskip("playwright", reason="playwright is not installed: pip install 'jaxcf[dev]'")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

N = 10_000
EVIL = "<img src=x onerror=window.hacked=1>"
CLASSES = ["zero", "one", "two", EVIL, "</script><script>window.hacked=1</script>", *"56789"]
DETAILED = (0, 2)
TRUE_CLASSES = ["yes", "no", None] * 20
PALETTE = ("--text", "--soft", "--good-text", "--bad-text", "--accent-text")


def missed_rows(explanations):
    """Those that needed a counterfactual and have none."""
    return ~explanations.found & (explanations.status != Status.ALREADY_IN_TARGET)


@pytest.fixture(scope="module")
def explanations():
    return images(N)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, explanations):
    """Every report that is looked at."""
    folder = tmp_path_factory.mktemp("reports")
    few, people = images(60), table(60)
    other = replace(few, counterfactual=few.original, status=np.roll(few.status, 1))
    shapes = made(np.random.default_rng(0).random((30, 5, 5, 7)))
    write(
        folder / "many.html",
        explanations,
        class_names=CLASSES,
        traces=traces(explanations, DETAILED),
        title=EVIL,
    )
    write(folder / "compared.html", few, comparison=compare(few, other, names=("A", EVIL)))
    write(
        folder / "table.html",
        people,
        traces=traces(people.core, DETAILED),
        model="a model of jobs",
        true_classes=TRUE_CLASSES,
        rules={},
    )
    missed = replace(people.core, status=np.roll(people.core.status, 1))
    others = replace(people, values=people.original_values, core=missed)
    write(folder / "tables.html", people, comparison=compare(people, others, names=("A", "B")))
    named = people.with_labels([f"client {row} {EVIL}" for row in range(60)])
    write(folder / "named.html", named[::-1])
    write(folder / "shapes.html", shapes)
    write(folder / "guided.html", with_guides(few, (EVIL, "easy")))
    write(folder / "empty.html", few[:0])
    return folder


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


class Tab:
    """A report that is open, with what it complained about and asked for."""

    def __init__(self, browser, file, **options):
        options = {"viewport": {"width": 1280, "height": 900}} | options
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.set_default_timeout(10_000)
        self.page.goto(file)

    def close(self):
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith("file:")] == []
        assert len(self.requests) == 1
        self.context.close()

    def count_shown(self):
        return int(self.page.inner_text("#shown").split(" of ")[0].replace(",", ""))

    def rows_shown(self, most=5):
        return self.page.evaluate(
            "most => [...document.querySelectorAll('#cards .card')].slice(0, most)"
            ".map(card => +card.dataset.row)",
            most,
        )

    def reset(self):
        self.page.evaluate(
            """() => {
                choose({...unfiltered, sort: "row", descending: false});
                byId("cards").scrollIntoView();
            }"""
        )

    def leave(self):
        """Close the dialog; what that sets off comes a moment later."""
        self.page.keyboard.press("Escape")
        self.closed()

    def closed(self):
        # Not by wait_for_function: it needs eval, which the page forbids.
        self.page.wait_for_selector("#instance:not([open]):not([data-row])", state="attached")

    def in_dialog(self, row):
        self.page.wait_for_selector(f"#instance[data-row='{row}']")
        return self.page.locator("#instance")


@pytest.fixture(scope="module")
def many_rows(browser, folder):
    tab = Tab(browser, (folder / "many.html").as_uri())
    yield tab
    tab.close()


@pytest.fixture
def tab(many_rows):
    many_rows.reset()
    return many_rows


@pytest.fixture
def opened(browser, folder):
    """Opens one of the other reports; checks on the way out that it did without a complaint."""
    tabs = []

    def opens(name, address="", **options):
        tabs.append(Tab(browser, (folder / name).as_uri() + address, **options))
        return tabs[-1]

    yield opens
    for one in tabs:
        one.close()


def test_counts_are_those_of_the_run(tab, explanations):
    found = int(explanations.found.sum())
    assert tab.count_shown() == N
    answer = tab.page.inner_text("#answer")
    assert answer.startswith(f"{found:,} of 9,500 that needed an answer have one")
    assert f"Of the {9_500 - found:,} others the card says why" in answer
    assert "500 more rows need none" in answer
    for code in np.unique(explanations.status):
        line = tab.page.locator("#outcomes tr", has=tab.page.locator(f"[data-status='{code}']"))
        assert f"{int((explanations.status == code).sum()):,}" in line.inner_text()
        assert Status(int(code)).message in line.inner_text()
        line.locator("button").click()
        assert tab.count_shown() == (explanations.status == code).sum()


FILTERS = {
    "original": lambda e, value: e.original_class == value,
    "reached": lambda e, value: e.counterfactual_class == value,
    "target": lambda e, value: e.target_class == value,
}


@pytest.mark.parametrize("name", FILTERS)
def test_every_class_filter_shows_its_rows(tab, explanations, name):
    values = [
        one
        for one in tab.page.locator(f"#control-{name} option").evaluate_all(
            "options => options.map(option => option.value)"
        )
        if one != "any"
    ]
    assert len(values) == 11  # ten classes, and none for invalid rows
    for value in values:
        tab.page.select_option(f"#control-{name}", value)
        wanted = np.flatnonzero(FILTERS[name](explanations, int(value)))
        assert tab.count_shown() == len(wanted)
        assert tab.rows_shown() == wanted[:5].tolist()


def test_every_outcome_filter_shows_its_rows(tab, explanations):
    found = explanations.found
    wanted = {"any": found | True, "found": found, "missed": missed_rows(explanations)}
    wanted |= {
        str(code): explanations.status == code for code in np.unique(explanations.status) if code
    }
    options = tab.page.locator("#control-outcome option")
    assert set(options.evaluate_all("all => all.map(one => one.value)")) == set(wanted)
    for value, rows in wanted.items():
        tab.page.select_option("#control-outcome", value)
        assert tab.count_shown() == rows.sum()
        assert tab.rows_shown() == np.flatnonzero(rows)[:5].tolist()


def test_judges_filter(tab, explanations):
    oracle = explanations.scores["oracle"]
    wanted = {"most": oracle > 0.5, "few": oracle <= 0.5, "none": np.isnan(oracle)}
    for value, rows in wanted.items():
        tab.page.select_option("#control-judges", value)
        assert tab.rows_shown() == np.flatnonzero(rows)[:5].tolist()
        assert tab.count_shown() == rows.sum()


def test_filters_combine_and_can_all_be_undone(tab, explanations):
    tab.page.select_option("#control-original", "1")
    tab.page.select_option("#control-target", "2")
    tab.page.select_option("#control-outcome", "missed")
    rows = (explanations.original_class == 1) & (explanations.target_class == 2)
    assert tab.count_shown() == (rows & missed_rows(explanations)).sum() > 0
    tab.page.click("#reset")
    assert tab.count_shown() == N
    assert tab.page.is_disabled("#reset")


SORTS = {
    "steps": lambda e: e.steps,
    "confidence": lambda e: e.probabilities.max(axis=1),
    "confidence_before": lambda e: e.original_probabilities.max(axis=1),
    "changed": lambda e: e.l0,
    "l1": lambda e: e.l1,
    "l2": lambda e: e.l2,
    "elastic_net": lambda e: e.elastic_net,
    "prediction_weight": lambda e: e.prediction_weight,
    "im1": lambda e: e.scores["im1"],
    "oracle": lambda e: e.scores["oracle"],
}


def test_every_sort_is_there(tab):
    options = tab.page.locator("#control-sort option")
    assert set(options.evaluate_all("all => all.map(one => one.value)")) == {"row", *SORTS}


@pytest.mark.parametrize("name", SORTS)
def test_every_sort_orders_rows_both_ways_and_rows_without_a_value_last(tab, explanations, name):
    values = np.asarray(SORTS[name](explanations), float)
    values = np.where(explanations.status == Status.INVALID_INPUT, np.nan, values)
    tab.page.select_option("#control-sort", name)
    for direction, sign in (("up", 1), ("down", -1)):
        tab.page.select_option("#control-direction", direction)
        order = np.array(tab.page.evaluate("Array.from(order)"))
        assert tab.rows_shown() == order[:5].tolist()
        assert sorted(order.tolist()) == list(range(N))
        ordered = values[order] * sign
        present = int(np.isfinite(values).sum())
        assert np.isnan(ordered[present:]).all()
        # The page knows five digits.
        assert (np.diff(ordered[:present]) >= -1e-4 * np.abs(ordered[: present - 1])).all()


def test_every_cell_of_the_matrix_filters(tab, explanations):
    found = explanations.found
    cells = tab.page.locator("#transitions button")
    pairs = {
        (int(a), int(b))
        for a, b in zip(
            explanations.original_class[found],
            explanations.counterfactual_class[found],
            strict=True,
        )
    }
    ends = {
        "missed": missed_rows(explanations),
        Status.ALREADY_IN_TARGET: explanations.status == Status.ALREADY_IN_TARGET,
    }
    classes = [np.unique(explanations.original_class[rows]) for rows in ends.values()]
    assert cells.count() == len(pairs) + sum(map(len, classes))
    shown = tab.page.evaluate(
        """() => cells.map(({button, wanted}) => {
            button.click();
            const fitting = order.length;
            const pressed = button.getAttribute("aria-pressed");
            return [wanted, Number(button.textContent.replace(",", "")), fitting, pressed];
        })"""
    )
    for wanted, number, fitting, pressed in shown:
        rows = explanations.original_class == wanted["original"]
        if wanted["outcome"] == "found":
            rows &= found & (explanations.counterfactual_class == wanted["reached"])
        else:
            rows &= ends[wanted["outcome"]]
        assert number == fitting == rows.sum()
        assert pressed == "true"


def test_a_cell_pressed_again_shows_all_and_selects_follow(tab):
    cell = tab.page.locator("#transitions button").first
    cell.click()
    assert tab.page.input_value("#control-outcome") == "found"
    assert tab.page.input_value("#control-original") == "0"
    cell.click()
    assert tab.count_shown() == N
    assert cell.get_attribute("aria-pressed") == "false"


def test_histograms_follow_the_filters_and_have_their_numbers_as_a_table(tab, explanations):
    tab.page.select_option("#control-original", "1")
    rows = explanations.found & (explanations.original_class == 1)
    words = tab.page.locator("#histograms svg").first.get_attribute("aria-label")
    assert (
        f"{rows.sum():,} rows: median {np.median(explanations.steps[rows]):g}".rstrip("0") in words
    )
    tab.page.evaluate("byId('method').open = true")
    tab.page.locator("#histograms summary").first.click()
    tab.page.wait_for_selector("#histograms table")
    numbers = tab.page.locator("#histograms table").first.locator("td").all_inner_texts()
    assert sum(int(one.replace(",", "")) for one in numbers) == rows.sum()


def test_few_cards_are_in_the_document_wherever_it_is_scrolled_to(tab):
    for place in (0, 5000, 9999):
        tab.page.evaluate(f"focusPlace({place})")
        tab.page.wait_for_selector(f"#cards .card[data-row='{place}'] [data-drawn]")
        assert tab.page.locator("#cards .card").count() < 100


def test_pictures_show_the_pixels_of_their_row(tab, explanations):
    row = 6789
    tab.page.evaluate(f"focusPlace({row})")
    tab.page.wait_for_selector(f"#cards .card[data-row='{row}'] [data-drawn]")
    canvases = tab.page.locator(f"#cards .card[data-row='{row}'] canvas")
    labels = canvases.evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert labels == [
        f"{what} of row {row}" for what in ("original", "counterfactual", "difference")
    ]
    read = "c => [...c.getContext('2d').getImageData(0, 0, 28, 28).data]"
    pixels = [np.array(canvases.nth(k).evaluate(read)).reshape(28, 28, 4) for k in range(3)]
    images_given = (explanations.original, explanations.counterfactual)
    for shown, given in zip(pixels[:2], images_given, strict=True):
        np.testing.assert_array_equal(shown[..., 0], quantise(given[row, ..., 0], 0.0, 1.0))
    change = explanations.perturbation[row, ..., 0]
    assert (pixels[2][change == 0] == [247, 247, 247, 255]).all()
    darker, brighter = (pixels[2][side].astype(int) for side in (change < -0.1, change > 0.1))
    assert (darker[:, 0] > darker[:, 2]).all()
    assert (brighter[:, 2] > brighter[:, 0]).all()


def test_cards_can_be_walked_with_the_keyboard(tab):
    page = tab.page
    page.locator("#cards .card-link").first.focus()
    focused = "+document.activeElement.closest('.card').dataset.row"
    across = page.evaluate("layout.across")
    for key, row in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + across),
        ("ArrowUp", 1),
        ("ArrowLeft", 0),
        ("Tab", 1),
        ("End", N - 1),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert page.evaluate(focused) == row
    page.keyboard.press("PageDown")
    assert page.evaluate(focused) > across
    box = page.evaluate("document.activeElement.closest('.card').getBoundingClientRect().toJSON()")
    assert box["top"] >= 0
    assert box["bottom"] <= 900


def test_a_row_opens_by_key_moves_by_arrows_and_gives_the_focus_back(tab):
    page = tab.page
    page.select_option("#control-original", "1")
    order = page.evaluate("Array.from(order.slice(0, 3))")
    page.locator("#cards .card-link").first.focus()
    page.keyboard.press("Enter")
    dialog = tab.in_dialog(order[0])
    assert dialog.get_attribute("aria-labelledby") == "instance-title"
    assert page.evaluate("document.activeElement.id") == "instance-title"
    assert page.is_disabled("#previous")
    page.keyboard.press("ArrowRight")
    tab.in_dialog(order[1])
    page.click("#next")
    tab.in_dialog(order[2])
    assert page.evaluate("location.hash") == f"#row={order[2]}"
    page.keyboard.press("ArrowLeft")
    tab.in_dialog(order[1])
    tab.leave()
    assert page.evaluate("+document.activeElement.closest('.card').dataset.row") == order[1]
    assert page.evaluate("location.hash") == ""


def test_a_row_in_full_says_all_there_is_to_say(tab, explanations):
    page = tab.page
    page.locator("#cards .card-link").first.click()
    dialog = tab.in_dialog(0)
    assert explanations.messages[0] in dialog.inner_text()
    shares = dialog.locator(".probabilities td").all_inner_texts()
    expected = np.stack([explanations.original_probabilities[0], explanations.probabilities[0]], 1)
    np.testing.assert_allclose(
        [float(one.rstrip(" %")) / 100 for one in shares if "<" not in one],
        [one for one in expected.ravel() if one >= 1e-3],
        atol=6e-4,
    )
    assert [one for one in ("step 0", "step 8") if one in dialog.inner_text()] == [
        "step 0",
        "step 8",
    ]
    strip = dialog.locator(".strip").first
    assert strip.locator("canvas").count() == 5
    captions = strip.locator("figcaption").all_inner_texts()
    for caption, said in (
        (captions[0], explanations.original_probabilities[0]),
        (captions[-1], explanations.probabilities[0]),
    ):
        assert f"{CLASSES[said.argmax()]}, {100 * said.max():.1f}" in caption
    assert dialog.locator("polyline").count() == 2
    assert "training row 5" in dialog.inner_text()
    assert f"prototype of {CLASSES[explanations.target_class[0]]}" in dialog.inner_text()
    page.click("#next")
    assert tab.in_dialog(1).locator(".strip, polyline").count() == 0  # no search was kept
    page.click("#close")
    tab.closed()


def test_rows_without_an_answer_open_too(tab, explanations):
    page = tab.page
    for code in OTHER_ENDS:
        row = int(np.flatnonzero(explanations.status == code)[0])
        page.fill("#control-wanted", str(row))
        page.keyboard.press("Enter")
        assert Status(code).message in tab.in_dialog(row).inner_text()
        tab.leave()
    page.fill("#control-wanted", str(N))  # there is no such row
    page.keyboard.press("Enter")
    assert not page.evaluate("document.getElementById('instance').open")


def test_a_row_is_found_by_its_id(opened):
    page = (tab := opened("named.html")).page
    tab.reset()
    assert f"id client 59 {EVIL}" in page.locator("#cards .card").first.inner_text()
    page.fill("#control-wanted", "Client 1")  # any part of an id, in any case
    assert tab.rows_shown(99) == [40 + place for place in range(10)] + [58]
    page.fill("#control-wanted", f"client 12 {EVIL}")
    page.keyboard.press("Enter")
    assert f"id client 12 {EVIL}" in tab.in_dialog(47).inner_text()
    tab.leave()
    page.fill("#control-wanted", "nobody")
    page.keyboard.press("Enter")
    assert not page.evaluate("document.getElementById('instance').open")
    page.fill("#control-wanted", "7")  # the number of a row, where it is in no id
    assert 7 in tab.rows_shown(99)
    assert page.evaluate("window.hacked") is None


def test_the_address_opens_a_row_and_the_back_button_closes_it(opened):
    tab = opened("many.html", "#row=17")
    assert "Row 17" in tab.in_dialog(17).inner_text()
    tab.leave()
    tab.page.evaluate("location.hash = 'row=3'")
    tab.in_dialog(3)
    tab.page.go_back()
    tab.closed()


@pytest.mark.parametrize("address", ["#row=10000", "#row=-1", "#row=x", "#<img>"])
def test_an_address_without_a_row_opens_nothing(opened, address):
    tab = opened("empty.html", address)
    assert not tab.page.evaluate("document.getElementById('instance').open")


def test_markup_in_data_stays_text(tab):
    page = tab.page
    assert page.title() == EVIL
    assert page.inner_text("h1") == EVIL
    for name in CLASSES:
        assert page.locator("#transitions th", has_text=name).count() >= 1
    row = page.evaluate("allRows.find((row) => columns.originalClass[row] === 3)")
    page.fill("#control-wanted", str(row))
    page.keyboard.press("Enter")
    assert EVIL in tab.in_dialog(row).inner_text()
    tab.leave()
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None


def test_everything_to_press_or_look_at_has_a_name(tab):
    tab.page.locator("#cards .card-link").first.click()
    tab.in_dialog(0)
    nameless = tab.page.evaluate(
        """() => [...document.querySelectorAll("button, a, select, input, canvas, svg[role=img]")]
            .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim()
                || one.labels?.length))
            .filter((one) => !(one.labels && [...one.labels].some((l) => l.textContent.trim())))
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    tab.leave()


READ_VARIABLE = "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_are_followed_switched_and_readable(opened, scheme):
    page = opened("table.html", color_scheme=scheme).page
    read = READ_VARIABLE
    grounds = []
    for _ in range(2):
        for ground in ("--ground", "--raised"):
            below = luminance(page.evaluate(read, ground))
            for name in PALETTE:
                above = luminance(page.evaluate(read, name))
                contrast = (max(above, below) + 0.05) / (min(above, below) + 0.05)
                assert contrast >= 4.5, (name, ground)
        grounds.append(luminance(page.evaluate(read, "--ground")))
        page.click("#theme")
    assert (grounds[0] > grounds[1]) == (scheme == "light")


@pytest.mark.parametrize(
    "name", ["many.html", "compared.html", "table.html", "shapes.html", "guided.html"]
)
def test_a_narrow_screen_never_scrolls_sideways(opened, name):
    tab = opened(name, viewport={"width": 360, "height": 740})
    wide = "document.documentElement.scrollWidth"
    assert tab.page.evaluate(wide) <= 360
    tab.page.evaluate("location.hash = 'row=0'")
    dialog = tab.in_dialog(0)
    assert tab.page.evaluate(wide) <= 360
    assert dialog.evaluate("dialog => dialog.scrollWidth - dialog.clientWidth") <= 0


def _entry(value):
    return value if isinstance(value, str) else f"{value:g}"


def test_a_table_shows_what_changed_in_original_units(opened):
    people = table(60)
    tab = opened("table.html", "#row=0")
    tab.in_dialog(0)
    tab.leave()
    assert tab.page.inner_text("#notes") == "\n".join(people.notes)
    for row in np.flatnonzero(people.found)[:4].tolist():
        tab.page.wait_for_selector(f"#cards .card[data-row='{row}'] [data-drawn]")
        lines = tab.page.locator(f"#cards .card[data-row='{row}'] .changes li")
        shown = {line.get_attribute("title") for line in lines.all()}
        assert shown == {
            f"{one.column}: {_entry(one.old)} → {_entry(one.new)}" for one in people.changes(row)
        }
    missing = int(np.flatnonzero(np.isnan(people.original_values[:, 1]))[0])
    assert "column 'pay' is missing" in tab.page.inner_text(f"#cards .card[data-row='{missing}']")
    assert "age" in tab.page.inner_text("#changed-features-content")


def test_the_first_screen_of_a_phone_has_the_question_and_an_example(opened):
    page = opened("table.html", viewport={"width": 390, "height": 844}).page
    question = page.inner_text("#question")
    assert question == (
        "What would have to be different for the model (a model of jobs) to decide otherwise?"
    )
    assert page.locator("#example-cards .card").count() == 3
    first = page.locator("#example-cards .card").first
    first.locator("[data-drawn]").wait_for()
    box = first.bounding_box()
    assert box["y"] + box["height"] <= 844
    # What changed comes first; how the search went is nowhere on it.
    text = first.inner_text()
    assert re.match(r"(age|job): ", text)
    assert not re.search("step|L2|L1", text)
    assert page.locator("#tiles").is_hidden()


def test_an_example_opens_and_takes_the_focus_back(opened):
    page = (tab := opened("table.html")).page
    link = page.locator("#example-cards .card-link").nth(1)
    link.click()
    page.wait_for_selector("#instance[data-row]")
    tab.leave()
    assert link.evaluate("one => one === document.activeElement")


def test_a_card_says_what_its_row_really_is(opened):
    people = table(60)
    tab = opened("table.html")
    tab.reset()
    for row in range(3):
        said = tab.page.inner_text(f"#cards .card[data-row='{row}'] .card-numbers")
        truth = TRUE_CLASSES[row]
        read = ("no", "yes")[people.original_class[row]]
        assert (f"really {truth}" in said) == (truth is not None)
        assert ("misread" in said) == (truth not in (None, read))


def test_rows_that_need_nothing_are_neither_found_nor_missed(opened):
    people = table(60)
    already = int(np.flatnonzero(people.status == Status.ALREADY_IN_TARGET)[0])
    tab = opened("table.html", f"#row={already}")
    text = tab.in_dialog(already).inner_text()
    assert "✗" not in text
    assert "✓" not in text
    tab.leave()
    tab.reset()
    kinds = {"found": people.found, "missed": missed_rows(people.core)}
    kinds["already"] = people.status == Status.ALREADY_IN_TARGET
    for kind, rows in kinds.items():
        row = int(np.flatnonzero(rows)[0])
        assert kind in tab.page.get_attribute(f"#cards .card[data-row='{row}']", "class").split()
    keys = tab.page.locator("#key .swatch").evaluate_all("all => all.map(one => one.className)")
    assert keys == [f"swatch {kind}" for kind in (*kinds, "changed")]


def test_the_table_at_a_glance_is_the_picture_of_the_table(opened):
    people = table(60)
    page = opened("table.html").page
    drawn = [text.get_text() for text in people.plot().texts]
    cells = page.locator(".glance tbody td").all_inner_texts()
    assert cells == drawn
    assert page.locator(".glance td:has(.changed-entry)").count() == sum("→" in x for x in drawn)


def test_the_rows_shown_can_be_taken_along_as_csv(opened, tmp_path):
    people = table(60)
    page = (tab := opened("named.html")).page
    page.fill("#control-wanted", "client 1")
    with page.expect_download() as waiting:
        page.click("#download")
    waiting.value.save_as(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    shown = [int(line["row"]) for line in lines]
    assert shown == people[::-1].source_row[tab.rows_shown(99)].tolist()
    for row, line in zip(shown, lines, strict=True):
        assert line["id"] == f"client {row} {EVIL}"
        if np.isfinite(people.values[row]).all():
            assert float(line["pay after"]) == people.values[row, 1]
            assert line["job before"] == people.original["job"][row]
    # A text that a spreadsheet would run is none any more; numbers and commas come through.
    cells = page.evaluate("""["=1+1", "-5", 'a,"b"', "+x", null, 2.5].map(csvCell)""")
    assert cells == ["'=1+1", "-5", '"a,""b"""', "'+x", "", "2.5"]


def test_what_is_printed_has_the_cards(opened):
    people = table(60)
    page = (tab := opened("table.html", color_scheme="dark")).page
    page.select_option("#control-outcome", "found")
    found = np.flatnonzero(people.found)
    last = f"#printed .card:nth-child({len(found)}):last-child [data-drawn]"
    page.locator(last).wait_for(state="attached")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("#printed .card:visible").count() == len(found) == tab.count_shown()
    assert page.locator("#cards").is_hidden()
    assert page.locator("#controls").is_hidden()
    assert luminance(page.evaluate(READ_VARIABLE, "--ground")) > 0.9
    whole = "all => all.every(one => one.scrollHeight <= one.clientHeight)"
    assert page.locator("#printed .card").evaluate_all(whole)  # no text is cut


def test_a_loss_chart_shows_where_zero_is(tab, explanations):
    losses = traces(explanations, DETAILED).losses["l1"][0]
    tab.page.locator("#cards .card-link").first.click()
    dialog = tab.in_dialog(0)
    for chart in dialog.locator(".chart").all():
        axis = float(chart.locator(".axis").get_attribute("y1"))
        label = chart.locator("text", has_text=re.compile("^0$")).first
        assert float(label.get_attribute("y")) == axis - 3
        points = [
            tuple(map(float, point.split(",")))
            for point in chart.locator("polyline").get_attribute("points").split()
        ]
        heights = [axis - y for _, y in points]
        np.testing.assert_allclose(heights, losses * heights[0] / losses[0], atol=0.2)
    tab.leave()


def test_two_runs_over_a_table_stand_side_by_side(opened):
    people = table(60)
    tab = opened("tables.html")
    tab.reset()
    assert "found only by A" in tab.page.inner_text("#comparison")
    row = int(np.flatnonzero(people.found)[0])
    tab.page.wait_for_selector(f"#cards .card[data-row='{row}'] [data-drawn]")
    text = tab.page.inner_text(f"#cards .card[data-row='{row}']")
    assert re.match(r"A\n(age|job): ", text)
    assert re.search(r"B\n+(best attempt:\n+)?Nothing changed\.", text)
    answers, missed = people.found, missed_rows(people.core[np.roll(np.arange(60), 1)])
    for row, attempted in ((row, missed[row]) for row in np.flatnonzero(answers)[:6]):
        card = f"#cards .card[data-row='{row}']"
        tab.page.wait_for_selector(f"{card} [data-drawn]")
        assert ("best attempt:" in tab.page.inner_text(card)) == attempted


def test_numbers_of_a_table_have_all_their_digits(opened):
    page = opened("table.html").page
    narrow = float(np.float32(0.1))
    given = [1000001.28, 31578.02, 36636.39461497724, 21.0, narrow, 1e-7, None]
    shown = page.evaluate("given => given.map(formatEntry)", given)
    assert shown == ["1000001.28", "31578.02", "36636.39461497724", "21", "0.1", "1e-7", "missing"]


def test_nothing_on_the_page_is_a_command_or_a_path(tab):
    text = tab.page.evaluate("document.body.innerText")
    assert not re.search(r"jaxcf (explain|evaluate|report)|--\w", text)


def test_a_comparison_is_shown_as_a_table_and_beside_each_row(opened):
    tab = opened("compared.html")
    text = tab.page.inner_text("#comparison")
    assert "found only by A" in text
    assert EVIL in text
    tab.reset()
    tab.page.wait_for_selector("#cards .card[data-row='0'] [data-drawn]")
    assert tab.page.locator("#cards .card[data-row='0'] canvas").count() == 4


def test_a_row_says_who_was_convinced_and_the_page_who_agrees(opened):
    few = with_guides(images(60))
    said = few.guide_probabilities
    assert said is not None
    tab = opened("guided.html")
    page = tab.page
    assert "the model and both guides agree" in page.inner_text("#answer")
    held_up = np.flatnonzero(few.status == Status.GUIDE_NOT_CONVINCED)
    tab.reset()
    page.select_option("#control-outcome", str(int(Status.GUIDE_NOT_CONVINCED)))
    assert tab.rows_shown() == held_up.tolist()
    tab.reset()
    card = page.inner_text("#cards .card[data-row='0'] .card-numbers")
    assert re.search(r"model [\d.]+\s%\ssure, guide [\d.]+\s%", card)
    for row, answers in ((0, ["✓ yes"] * 3), (held_up[0], ["✓ yes", "✗ no", "✓ yes"])):
        page.evaluate(f"location.hash = 'row={row}'")
        lines = tab.in_dialog(row).locator(".convinced tbody tr")
        assert lines.locator("th").all_inner_texts() == ["the model", EVIL, "easy"]
        cells = [line.locator("td").all_inner_texts() for line in lines.all()]
        assert [line[-1] for line in cells] == answers
        assert cells[2][2] == "more than 15 %"
        shown = float(cells[2][1].split("→ ")[1].rstrip("\u00a0%"))
        new = few.counterfactual_class[row]
        assert shown == pytest.approx(100 * said[row, 1, new], abs=0.06)
        assert cells[0][0] == f"{few.original_class[row]} → {new}"
    needed_nothing = int(np.flatnonzero(few.status == Status.ALREADY_IN_TARGET)[0])
    page.evaluate(f"location.hash = 'row={needed_nothing}'")
    assert tab.in_dialog(needed_nothing).locator(".convinced").count() == 0


def test_a_page_of_a_model_alone_speaks_of_no_guide(opened):
    page = opened("compared.html", "#row=0").page
    page.wait_for_selector("#instance[data-row='0']")
    assert page.locator("#about-guides").is_hidden()
    assert page.locator(".convinced").count() == 0
    assert not re.search("guides? agree", page.inner_text("body"))


def test_rows_that_cannot_be_drawn_have_everything_else(opened):
    tab = opened("shapes.html", "#row=0")
    text = tab.in_dialog(0).inner_text()
    assert "is not drawn" in text
    assert "L2 distance" in text


def test_a_run_without_rows_says_so(opened):
    assert opened("empty.html").page.is_visible("#nothing")
