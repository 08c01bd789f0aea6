// What the page begins with: the question, the count that matters, examples, and what colours mean.

function showQuestion() {
  byId("question").textContent = payload.question.sentence;
  const already = allRows.filter(isAlready).length;
  const needed = count - already;
  const missed = needed - foundRows.length;
  byId("answer").append(
    element("strong", {}, `${whole.format(foundRows.length)} of ${whole.format(needed)}`),
    needed === 1 ? " that needed an answer has one" : " that needed an answer have one",
    payload.guided && foundRows.length ? `; for every one of them ${payload.guided.agreement}.` : ".",
    missed ? ` Of the ${plural(missed, "other")} the card says why.` : "",
    already
      ? ` ${plural(already, "more row needs", "more rows need")} none: the model decides for the ` +
          "class asked for already."
      : "",
  );
  byId("about-guides").hidden = !payload.guided;
  byId("about-truth").hidden = !columns.trueClass;
  if (payload.question.rules.length) {
    byId("rules").append(
      element("p", {}, "The rules that every answer keeps to:"),
      element(
        "ul",
        {},
        payload.question.rules.map((text) => element("li", {}, text)),
      ),
    );
  }
}

function showExamples() {
  byId("examples").hidden = !payload.examples.length;
  byId("example-cards").append(...payload.examples.map((row) => card(row)));
}

// One entry per colour that occurs: whatever it says is said in words or by a mark as well.
function colourKey() {
  const sample = (kind, words, shown = "") =>
    element(
      "span",
      { class: "key-entry" },
      element("span", { class: `swatch ${kind}`, "aria-hidden": "true" }, shown),
      words,
    );
  const outcomes = [
    [isFound, "found", "an answer was found"],
    [isMissed, "missed", "none was found: the best attempt is shown"],
    [isAlready, "already", "needs none"],
  ].filter(([isMeant]) => allRows.some(isMeant));
  return [
    ...outcomes.map(([, kind, words]) => sample(kind, words)),
    ...(payload.kind === "picture"
      ? [
          sample("darker", "darker than before"),
          sample("brighter", "brighter than before"),
          sample("same", "as before"),
        ]
      : []),
    ...(payload.kind === "features" ? [sample("changed", "an entry that changed")] : []),
  ];
}

// The picture of a table: a few rows with what changed, on a ground of its own.
function showGlance() {
  const { glance } = payload;
  if (!glance) return;
  byId("glance").hidden = false;
  const lines = glance.rows.map((row, line) => [
    element("a", { href: `#row=${row}` }, glance.titles[line]),
    ...glance.entries[line].map(([before, after]) =>
      after === null
        ? element("span", { class: "unchanged" }, before)
        : element("span", { class: "changed-entry" }, `${before} → `, element("strong", {}, after)),
    ),
  ]);
  const more = glance.alsoChanged.length
    ? element("p", { class: "hint" }, `Also changed: ${glance.alsoChanged.join(", ")}.`)
    : "";
  byId("glance-content").append(
    wideTable(
      "The columns that changed, those that changed most often first",
      ["", ...glance.heads],
      lines,
      { class: "glance" },
    ),
    more,
  );
}

// Paper has no scrolling: the first cards of those chosen, drawn in good time, since a browser that
// prints waits for nothing.
const MOST_PRINTED = 60;

function preparePrint() {
  const rows = [...order.slice(0, MOST_PRINTED)];
  byId("printed").replaceChildren(...rows.map((row) => card(row)));
  byId("printed-of").textContent =
    rows.length < order.length
      ? `The first ${rows.length} of ${plural(order.length, "row")} are printed.`
      : "";
}

let printing = null;
function preparePrintSoon() {
  clearTimeout(printing);
  printing = setTimeout(preparePrint, 300); // not for every letter that is typed
}
