// One card per row: classes, outcome, pictures or changes, and some numbers.

// As many changes as nearly all rows have, and no more than four.
const sortedChanges = Float64Array.from(
  payload.kind === "features" ? (measures.get("changed")?.values ?? []) : [],
).sort();
const CHANGES_ON_A_CARD = Math.max(1, Math.min(4, Math.ceil(quantile(sortedChanges, 0.95) ?? 1)));
const NUMBERS_ON_A_CARD = payload.guided
  ? ["l2", "confidence", "guide_probability"]
  : ["steps", "l2", "confidence"];

function decision(row) {
  const before = className(columns.originalClass[row]);
  return isFound(row) ? `${before} → ${className(columns.newClass[row])}` : before;
}

// Where a row has several counterfactuals, which row they belong to; and what its owner calls it.
function rowName(row) {
  const source = columns.sourceRow[row];
  const name = source === row ? `Row ${row}` : `Row ${row}, of input ${source}`;
  return labels ? `${name}, id ${labels[row]}` : name;
}

// The same for the eye and the ear: screen readers know no arrows.
function spokenDecision(row) {
  const named = (label) => element("span", { class: "card-class" }, className(label));
  const before = named(columns.originalClass[row]);
  if (!isFound(row)) return before;
  return [
    before,
    element("span", { "aria-hidden": "true" }, "→"),
    element("span", { class: "unseen" }, " to "),
    named(columns.newClass[row]),
  ];
}

function cardNumbers(row) {
  const keys =
    NUMBERS_ON_A_CARD.includes(choice.sort) || choice.sort === "row"
      ? NUMBERS_ON_A_CARD
      : [...NUMBERS_ON_A_CARD.slice(0, 2), choice.sort];
  return keys
    .filter((key) => measures.has(key))
    .map((key) =>
      element(
        "span",
        { class: key === choice.sort ? "sorted" : null },
        `${briefly(measures.get(key))} ${formatBriefly(valueOf(key, row))}`,
      ),
    );
}

// How a row ended, in a class for its colour and a mark.
const outcomeClass = (row) =>
  isFound(row) ? "outcome found" : isMissed(row) ? "outcome missed" : "outcome";
const outcomeMark = (row) => (isFound(row) ? "✓" : isMissed(row) ? "✗" : "=");

// Where both are on the card, the probabilities are told apart by whose they are.
const BRIEF_NAMES = payload.guided ? { confidence: "model", guide_probability: "guide" } : {};
const briefly = ({ key, label }) => BRIEF_NAMES[key] ?? label.replace(/ distance$| after$/, "");

function card(row, place) {
  const link = element(
    "a",
    { href: `#row=${row}`, class: "card-link" },
    element("span", { class: "card-decision", title: decision(row) }, spokenDecision(row)),
    " ",
    element(
      "span",
      { class: outcomeClass(row), title: messageOf(row) },
      `${outcomeMark(row)} ${payload.messages[row] ?? statusOf(row).label}`,
    ),
    " ",
    element("span", { class: "card-row" }, rowName(row)),
  );
  const body = element("div", { class: "card-body" });
  const made = element(
    "li",
    {
      class: isMissed(row) ? "card missed" : "card",
      "data-row": row,
      "aria-setsize": order.length,
      "aria-posinset": place + 1,
    },
    link,
    body,
    element("p", { class: "card-numbers" }, cardNumbers(row)),
  );
  if (payload.kind === "picture" && !isDrawable(row)) body.append(undrawable());
  else if (payload.kind === "picture") fillWithPictures(body, row);
  else if (payload.kind === "features") fillWithChanges(body, row);
  else body.append(element("p", { class: "hint" }, "Rows of this shape are not drawn."));
  return made;
}

const undrawable = () =>
  element("p", { class: "hint" }, "Not drawn: the row holds values that are no finite numbers.");

async function fillWithPictures(body, row) {
  const names = [
    ["original", "original"],
    ["counterfactual", isFound(row) ? "counterfactual" : "best attempt"],
  ];
  if (arrays.has("other")) names.push(["other", payload.comparison.names[1]]);
  const drawnLater = names.map(([name, caption]) => [
    name,
    canvasOf(`${caption} of row ${row}`),
    caption,
  ]);
  const change = canvasOf(`difference of row ${row}`);
  const figures = drawnLater.map(([, canvas, caption]) => figure(canvas, caption));
  figures.splice(2, 0, figure(change, "difference"));
  body.append(element("div", { class: "pictures" }, figures));
  const bytes = await Promise.all(names.map(([name]) => rowOf(name, row)));
  if (!body.isConnected) return;
  drawnLater.forEach(([, canvas], place) => drawPicture(canvas, bytes[place]));
  drawDifference(change, bytes[0], bytes[1]);
  body.dataset.drawn = "yes";
}

async function fillWithChanges(body, row) {
  const [before, after, other] = await Promise.all(
    ["original", "counterfactual", "other"].map((name) => rowOf(name, row)),
  );
  if (!body.isConnected) return;
  body.append(changeList(before, after, CHANGES_ON_A_CARD));
  if (other) {
    body.append(
      element("h3", {}, payload.comparison.names[1]),
      changeList(before, other, CHANGES_ON_A_CARD),
    );
  }
  body.dataset.drawn = "yes";
}
