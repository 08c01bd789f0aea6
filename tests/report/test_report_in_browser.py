"""The report in a browser, with 10,000 rows: each filter, sort, click and key does what it says."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from made_explanations import OTHER_ENDS, images, made, table, traces, with_guides

from jaxcf import Status
from jaxcf.report import write
from jaxcf.report.packing import quantise
from jaxcf.results.comparison import compare

playwright_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install 'jaxcf[dev]'"
)
CHROMIUM = next(
    filter(
        None,
        map(
            shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        ),
    ),
    None,
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

N = 10_000
EVIL = "<img src=x onerror=window.hacked=1>"
CLASSES = ["zero", "one", "two", EVIL, "</script><script>window.hacked=1</script>", *"56789"]
DETAILED = (0, 2)
PALETTE = ("--text", "--soft", "--good", "--bad", "--accent-text")


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
    write(folder / "table.html", people, traces=traces(people.core, DETAILED))
    named = people.with_labels([f"client {row} {EVIL}" for row in range(60)])
    write(folder / "named.html", named[::-1])
    write(folder / "shapes.html", shapes)
    write(folder / "guided.html", with_guides(few, (EVIL, "easy")))
    write(folder / "empty.html", few[:0])
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-quic",
            ],
        )
        yield browser
        browser.close()


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
            f"[...document.querySelectorAll('.card')].slice(0, {most}).map(c => +c.dataset.row)"
        )

    def reset(self):
        self.page.evaluate(
            """() => {
                choose({...unfiltered, sort: "row", descending: false});
                byId("gallery").scrollIntoView();
                drawCards();
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
    assert f"{found:,} were found for 9,500 rows" in tab.page.inner_text(".lead")
    assert "500 more rows need none" in tab.page.inner_text(".lead")
    tiles = tab.page.inner_text("#tiles")
    assert re.search(r"of 9,500 rows, 84\D.*; 500 already in the target", tiles)
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
    tab.page.locator("#histograms summary").first.click()
    tab.page.wait_for_selector("#histograms table")
    numbers = tab.page.locator("#histograms table").first.locator("td").all_inner_texts()
    assert sum(int(one.replace(",", "")) for one in numbers) == rows.sum()


def test_few_cards_are_in_the_document_wherever_it_is_scrolled_to(tab):
    for place in (0, 5000, 9999):
        tab.page.evaluate(f"focusPlace({place})")
        tab.page.wait_for_selector(f".card[data-row='{place}'] [data-drawn]")
        assert tab.page.locator(".card").count() < 60


def test_pictures_show_the_pixels_of_their_row(tab, explanations):
    row = 6789
    tab.page.evaluate(f"focusPlace({row})")
    tab.page.wait_for_selector(f".card[data-row='{row}'] [data-drawn]")
    canvases = tab.page.locator(f".card[data-row='{row}'] canvas")
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
    page.locator(".card-link").first.focus()
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
    page.locator(".card-link").first.focus()
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
    page.locator(".card-link").first.click()
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
    assert dialog.locator(".strip").first.locator("canvas").count() == 5
    assert dialog.locator("polyline").count() == 2
    assert "training row 5" in dialog.inner_text()
    assert f"prototype of {CLASSES[explanations.target_class[0]]}" in dialog.inner_text()
    page.click("#next")
    assert "--details" in tab.in_dialog(1).inner_text()
    page.click("#close")
    tab.closed()


def test_rows_without_an_answer_open_too(tab, explanations):
    page = tab.page
    for code in OTHER_ENDS:
        row = int(np.flatnonzero(explanations.status == code)[0])
        page.fill("#control-row", str(row))
        page.click("form button")
        assert Status(code).message in tab.in_dialog(row).inner_text()
        tab.leave()
    page.fill("#control-row", str(N))  # there is no such row
    page.locator("#control-row").evaluate("input => input.form.requestSubmit()")
    assert not page.evaluate("document.getElementById('instance').open")


def test_a_row_is_found_by_its_id(opened):
    page = (tab := opened("named.html")).page
    tab.reset()
    assert f"id client 59 {EVIL}" in page.locator(".card").first.inner_text()
    page.fill("#control-id", f"client 12 {EVIL}")
    page.locator("#control-id").press("Enter")
    assert f"id client 12 {EVIL}" in tab.in_dialog(47).inner_text()
    tab.leave()
    page.fill("#control-id", "nobody")
    page.locator("#control-id").press("Enter")
    assert not page.evaluate("document.getElementById('instance').open")
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
    page.fill("#control-row", str(row))
    page.click("form button")
    assert EVIL in tab.in_dialog(row).inner_text()
    tab.leave()
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None


def test_everything_to_press_or_look_at_has_a_name(tab):
    tab.page.locator(".card-link").first.click()
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


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_are_followed_switched_and_readable(opened, scheme):
    page = opened("table.html", color_scheme=scheme).page
    read = "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
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


def test_a_table_shows_what_changed_in_original_units(opened):
    people = table(60)
    tab = opened("table.html", "#row=0")
    tab.in_dialog(0)
    tab.leave()
    assert tab.page.inner_text("#notes") == "\n".join(people.notes)
    for row in np.flatnonzero(people.found)[:4].tolist():
        tab.page.wait_for_selector(f".card[data-row='{row}'] [data-drawn]")
        lines = tab.page.locator(f".card[data-row='{row}'] .changes li")
        shown = {tuple(line.locator("span").all_inner_texts()) for line in lines.all()}
        assert {(name, old, new) for name, old, _, new in shown} == {
            (
                one.column,
                f"{one.old:g}" if one.column == "age" else one.old,
                f"{one.new:g}" if one.column == "age" else one.new,
            )
            for one in people.changes(row)
        }
    missing = int(np.flatnonzero(np.isnan(people.original_values[:, 1]))[0])
    assert "column 'pay' is missing" in tab.page.inner_text(f".card[data-row='{missing}']")
    assert "age" in tab.page.inner_text("#changed-features-content")


def test_a_comparison_is_shown_as_a_table_and_beside_each_row(opened):
    tab = opened("compared.html")
    text = tab.page.inner_text("#comparison")
    assert "found only by A" in text
    assert EVIL in text
    tab.reset()
    tab.page.wait_for_selector(".card[data-row='0'] [data-drawn]")
    assert tab.page.locator(".card[data-row='0'] canvas").count() == 4


def test_a_row_says_who_was_convinced_and_the_page_who_agrees(opened):
    few = with_guides(images(60))
    said = few.guide_probabilities
    assert said is not None
    tab = opened("guided.html")
    page = tab.page
    assert "the model and both guides agree" in page.inner_text(".lead")
    assert "the model and both guides agree" in page.inner_text("#tiles")
    held_up = np.flatnonzero(few.status == Status.GUIDE_NOT_CONVINCED)
    tab.reset()
    page.select_option("#control-outcome", str(int(Status.GUIDE_NOT_CONVINCED)))
    assert tab.rows_shown() == held_up.tolist()
    tab.reset()
    card = page.inner_text(".card[data-row='0'] .card-numbers")
    assert re.search(r"L2 [\d.]+\s+model 0\.\d+", card)
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
