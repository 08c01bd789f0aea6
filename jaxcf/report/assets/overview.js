// What is said of all rows: counts, outcomes, classes before and after, histograms, settings.

const MOST_CLASSES_IN_A_MATRIX = 40;
const MOST_TRANSITIONS = 20;
const MOST_FEATURES = 20;
const HISTOGRAMS = ["steps", "changed", "l1", "l2"];

const allRows = Array.from({ length: count }, (_, row) => row);
const foundRows = allRows.filter(isFound);

const present = (key, rows) =>
  rows.map((row) => valueOf(key, row)).filter((value) => value !== null);

const mean = (values) =>
  values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;

function tile(label, value, beside, explanation) {
  return element(
    "div",
    { class: "tile" },
    element("dt", {}, label, explanation ? help(explanation) : null),
    element("dd", {}, element("strong", {}, value), beside ? element("small", {}, beside) : null),
  );
}

function showTiles() {
  byId("notes").append(...payload.notes.map((text) => element("li", {}, text)));
  byId("notes").hidden = !payload.notes.length;
  const tiles = [];
  for (const measure of payload.measures) {
    if (["prediction_weight", "confidence_before"].includes(measure.key)) continue;
    const values = Float64Array.from(present(measure.key, foundRows)).sort();
    if (!values.length) continue;
    const average = mean([...values]);
    const isSteps = measure.key === "steps";
    const beside = isSteps
      ? `median; mean ${format(average)}, 99 % within ${format(quantile(values, 0.99))}`
      : `mean of ${values.length === foundRows.length ? "the found rows" : plural(values.length, "row")}`;
    const value = format(isSteps ? quantile(values, 0.5) : average);
    tiles.push(tile(measure.label, value, beside, measure.help));
  }
  if (payload.seconds.total !== undefined) {
    const parts = Object.entries(payload.seconds).filter(([name]) => name !== "total");
    tiles.push(
      tile(
        "seconds in all",
        format(payload.seconds.total),
        parts.map(([name, seconds]) => `${name} ${format(seconds)}`).join(", "),
      ),
    );
  }
  byId("tiles").append(tiles.length ? element("dl", {}, tiles) : "");
}

function showOutcomes() {
  const counts = new Map();
  for (const code of columns.status) counts.set(code, (counts.get(code) ?? 0) + 1);
  const lines = [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([code, number]) => {
      const { label, message } = payload.statuses[code];
      const button = element(
        "button",
        {
          type: "button",
          class: "quiet",
          "data-status": code,
          onclick: () => showRows({ ...unfiltered, outcome: code }),
        },
        "show",
      );
      return [
        label,
        whole.format(number),
        percent(number / count),
        message,
        fill(button, { "aria-label": `Show the rows with the outcome ${label}` }, []),
      ];
    });
  byId("outcomes").append(
    wideTable("Of all rows", ["outcome", "rows", "share", "meaning", ""], lines, {
      class: "outcomes",
    }),
  );
}

// Filter, and bring what was asked for into view.
function showRows(changes) {
  choose(changes);
  byId("gallery").scrollIntoView();
  byId("gallery").focus({ preventScroll: true });
}

const transitionCounts = new Map();
for (const row of foundRows) {
  const key = `${columns.originalClass[row]} ${columns.newClass[row]}`;
  transitionCounts.set(key, (transitionCounts.get(key) ?? 0) + 1);
}
function countsByClass(isMeant) {
  const counts = new Map();
  for (const row of allRows.filter(isMeant)) {
    const label = columns.originalClass[row];
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  return counts;
}
// The rows without a counterfactual: those that needed one, and those that didn't.
const withoutOne = [
  { words: "not found", outcome: "missed", counts: countsByClass(isMissed) },
  { words: "there already", outcome: ALREADY, counts: countsByClass(isAlready) },
].filter(({ outcome, counts }) => outcome === "missed" || counts.size);

const cells = [];

function cell(number, most, wanted, words) {
  if (!number) return element("span", { class: "empty" }, "·");
  const button = element(
    "button",
    {
      type: "button",
      class: "cell",
      "aria-pressed": "false",
      "aria-label": `${words}: ${plural(number, "row")}`,
      "--weight": String(number / most),
      onclick: () => {
        const again = isChosen(wanted);
        choose(again ? unfiltered : { ...unfiltered, ...wanted });
      },
    },
    whole.format(number),
  );
  cells.push({ button, wanted });
  return button;
}

const isChosen = (wanted) =>
  Object.entries({ ...unfiltered, ...wanted }).every(([name, value]) => choice[name] === value);

const transition = (from, to, most) =>
  cell(
    transitionCounts.get(`${from} ${to}`),
    most,
    { outcome: "found", original: from, reached: to },
    `from ${className(from)} to ${className(to)}`,
  );

function showTransitions() {
  const most = Math.max(1, ...transitionCounts.values());
  if (classes.length > MOST_CLASSES_IN_A_MATRIX) {
    const often = [...transitionCounts].sort((a, b) => b[1] - a[1]).slice(0, MOST_TRANSITIONS);
    const rows = often.map(([key]) => {
      const [from, to] = key.split(" ").map(Number);
      return [className(from), className(to), transition(from, to, most)];
    });
    byId("transitions").append(
      table(
        `The ${rows.length} most frequent of ${transitionCounts.size} pairs`,
        ["before", "after", "rows"],
        rows,
      ),
    );
    return;
  }
  const mostWithout = Math.max(1, ...withoutOne.flatMap(({ counts }) => [...counts.values()]));
  const labels = classes.map((_, label) => label);
  const starts = withoutOne.some(({ counts }) => counts.has(-1)) ? [...labels, -1] : labels;
  const turned = classes.some((name) => name.length > 4) ? "turned" : null;
  const head = [
    element("td", {}),
    labels.map((label) =>
      element(
        "th",
        { scope: "col", class: turned, title: className(label) },
        element("span", {}, className(label)),
      ),
    ),
    withoutOne.map(({ words }) =>
      element("th", { scope: "col", class: turned }, element("span", {}, words)),
    ),
  ];
  const body = starts.map((from) =>
    element(
      "tr",
      {},
      element("th", { scope: "row", title: className(from) }, element("span", {}, className(from))),
      labels.map((to) => element("td", {}, transition(from, to, most))),
      withoutOne.map(({ words, outcome, counts }) =>
        element(
          "td",
          { class: outcome === "missed" ? "missed" : "already" },
          cell(
            counts.get(from),
            mostWithout,
            { outcome, original: from },
            `from ${className(from)}, ${words}`,
          ),
        ),
      ),
    ),
  );
  byId("transitions").append(
    element(
      "table",
      { class: "matrix" },
      element("caption", {}, "Class before (down) and after (across)"),
      element("thead", {}, element("tr", {}, head)),
      element("tbody", {}, body),
    ),
  );
}

function markCells() {
  for (const { button, wanted } of cells)
    button.setAttribute("aria-pressed", String(isChosen(wanted)));
}

function showHistograms() {
  const rows = [...order].filter(isFound);
  byId("histograms-hint").textContent =
    rows.length === foundRows.length
      ? "Of all found rows."
      : `Of the ${plural(rows.length, "found row")} among those chosen.`;
  const shown = HISTOGRAMS.filter((key) => measures.has(key)).map((key) => {
    const { label, help: explanation } = measures.get(key);
    return histogram(label, explanation, present(key, rows));
  });
  byId("histograms").replaceChildren(...shown);
}

function showChangedFeatures() {
  if (payload.kind !== "features" || !contents.foundRows) return;
  byId("changed-features").hidden = false;
  const rows = contents.features.map(({ name }, place) => ({
    name,
    share: contents.changedRows[place] / contents.foundRows,
    text: percent(contents.changedRows[place] / contents.foundRows),
  }));
  rows.sort((a, b) => b.share - a.share);
  const often = rows.slice(0, MOST_FEATURES);
  byId("changed-features-hint").textContent =
    `The share of the ${plural(contents.foundRows, "found counterfactual")} in which each ` +
    `feature changed; ${often.length} of ${plural(rows.length, "feature")}.`;
  byId("changed-features-content").append(bars(often));
}

function showComparison() {
  const { comparison } = payload;
  if (!comparison) return;
  byId("comparison").hidden = false;
  const [first, second] = comparison.names;
  const { both, only_first: onlyFirst, only_second: onlySecond, neither } = comparison.found;
  const already = comparison.found.already_in_target;
  const counts = [
    ["found by both", both],
    [`found only by ${first}`, onlyFirst],
    [`found only by ${second}`, onlySecond],
    ["found by neither", neither],
    ...(already ? [["already in the target", already]] : []),
    ["found by both, with the same class", comparison.same_new_class],
    ["the models decide alike for the original", comparison.same_original_class],
  ].map(([text, number]) => [text, whole.format(number), percent(count ? number / count : null)]);
  const differences = comparison.differences.map(
    ({ label, n, first: one, second: other, difference, lower, upper }) => [
      label,
      whole.format(n),
      format(one),
      format(other),
      n ? `${format(difference)} [${format(lower)}, ${format(upper)}]` : "–",
    ],
  );
  byId("comparison-content").append(
    wideTable(`Rows, of ${whole.format(count)}`, ["", "rows", "share"], counts),
    element(
      "details",
      {},
      element("summary", {}, "Numbers of the method, side by side"),
      wideTable(
        "Means over the rows found by both",
        ["", "rows", first, second, `${second} − ${first}, with its 95 % interval`],
        differences,
      ),
      element(
        "p",
        { class: "hint" },
        "A difference is real, as far as these rows go, where its interval doesn't hold 0. Rows " +
          "that only one run found are in none of these means.",
      ),
    ),
  );
}

function showSettings() {
  const versions = Object.entries(payload.versions);
  byId("settings").append(
    wideTable("Settings and versions", ["name", "value"], [...payload.settings, ...versions], {
      class: "settings",
    }),
  );
}
