// One card per row: classes, outcome, pictures or changes, and some numbers.

const CHANGES_ON_A_CARD = 4; // the rest is said when it is opened
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

const trueClassName = (row) =>
  columns.trueClass && columns.trueClass[row] >= 0 ? className(columns.trueClass[row]) : null;

const isMisread = (row) =>
  trueClassName(row) !== null &&
  columns.originalClass[row] >= 0 &&
  columns.trueClass[row] !== columns.originalClass[row];

// The same for the eye and the ear: screen readers know no arrows.
function spokenDecision(row) {
  const before = className(columns.originalClass[row]);
  if (!isFound(row)) return before;
  return [
    `${before} `,
    element("span", { "aria-hidden": "true" }, "→"),
    element("span", { class: "unseen" }, " to "),
    ` ${className(columns.newClass[row])}`,
  ];
}

// How a row ended, in a class for its colour and a mark.
const endOf = (row) => (isFound(row) ? "found" : isMissed(row) ? "missed" : "already");
const outcomeClass = (row) => `outcome ${endOf(row)}`;
const outcomeMark = (row) => (isFound(row) ? "✓" : isMissed(row) ? "✗" : "=");

// How sure the model is of the new class, what the row really is, and what rows are sorted by.
function cardNumbers(row) {
  const said = [];
  const after = valueOf("confidence", row);
  const guide = valueOf("guide_probability", row);
  if (isFound(row) && after !== null) {
    const sure = `${percent(after)} sure`;
    said.push(
      guide === null ? sure : `model ${sure}, guide ${closePercent(guide)}`,
    );
  }
  const truth = trueClassName(row);
  if (truth !== null) {
    said.push(
      element(
        "span",
        { class: isMisread(row) ? "misread" : null },
        isMisread(row) ? `really ${truth}: misread before` : `really ${truth}`,
      ),
    );
  }
  const sorted = measures.get(choice.sort);
  if (sorted) {
    said.push(
      element(
        "span",
        { class: "sorted" },
        `${sorted.label} ${formatBriefly(valueOf(sorted.key, row))}`,
      ),
    );
  }
  return said;
}

// `place` is that among the rows chosen; examples and prints have none. What the row holds is read
// when it is shown: `filled` of the card is the promise of that.
function card(row, place = null) {
  const link = element(
    "a",
    { href: `#row=${row}`, class: "card-link" },
    element("span", { class: "card-decision" }, spokenDecision(row)),
    " ",
    element(
      "span",
      { class: outcomeClass(row), title: messageOf(row) },
      `${outcomeMark(row)} ${payload.messages[row] ?? statusOf(row).label}`,
    ),
    " ",
    element("span", { class: "card-row" }, rowName(row)),
  );
  const foot = element(
    "p",
    { class: "card-numbers" },
    cardNumbers(row).map((one) => element("span", {}, one)),
  );
  const body = element("div", { class: "card-body" });
  const places = place === null ? {} : { "aria-setsize": order.length, "aria-posinset": place + 1 };
  const made = element(
    "div",
    { class: `card ${endOf(row)}`, role: "listitem", "data-row": row, ...places },
    body,
    link,
    foot,
  );
  if (payload.kind === "none") {
    body.append(element("p", { class: "hint" }, "Rows of this shape are not drawn."));
  } else if (!isDrawable(row)) body.append(undrawable());
  else made.filled = payload.kind === "picture" ? addPictures(body, row) : addChanges(body, row);
  return made;
}

const undrawable = () =>
  element("p", { class: "hint" }, "Not drawn: the row holds what the model takes no number for.");

async function addPictures(body, row) {
  const names = [["original", isAlready(row) ? "as it is" : "before"]];
  if (!isAlready(row)) names.push(["counterfactual", isFound(row) ? "after" : "best attempt"]);
  if (arrays.has("other")) names.push(["other", payload.comparison.names[1]]);
  const drawnLater = names.map(([name, caption]) => [
    name,
    canvasOf(`${name} of row ${row}`),
    caption,
  ]);
  const figures = drawnLater.map(([, canvas, caption]) => figure(canvas, caption));
  const change = isAlready(row) ? null : canvasOf(`difference of row ${row}`);
  if (change) figures.splice(2, 0, figure(change, "difference"));
  body.append(element("div", { class: "pictures" }, figures));
  const bytes = await Promise.all(names.map(([name]) => rowOf(name, row)));
  if (!body.isConnected) return;
  drawnLater.forEach(([, canvas], place) => drawPicture(canvas, bytes[place]));
  if (change) drawDifference(change, bytes[0], bytes[1]);
  body.dataset.drawn = "yes";
}

async function addChanges(body, row) {
  const [before, after, other] = await Promise.all(
    ["original", "counterfactual", "other"].map((name) => rowOf(name, row)),
  );
  if (!body.isConnected) return;
  const list = (values, isBest) => [
    isBest ? element("p", { class: "hint" }, "best attempt:") : null,
    changeList(before, values, CHANGES_ON_A_CARD),
  ];
  const [first, second] = payload.comparison?.names ?? [];
  const parts = isAlready(row)
    ? [element("p", { class: "hint" }, "Nothing has to change.")]
    : list(after, isMissed(row));
  if (other) parts.unshift(element("h3", {}, first));
  if (other) parts.push(element("h3", {}, second), list(other, isMissedThere(row)));
  fill(body, {}, parts);
  body.dataset.drawn = "yes";
}
