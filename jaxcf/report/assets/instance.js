// One row in full, in a dialog; the address holds its number, so that it can be sent to others.

const MOST_CLASSES_AT_FIRST = 12;
let shownRow = null;
let cameFrom = null; // what was pressed, where it was no card among the rows

const rowInAddress = () => {
  const match = /^#row=(\d+)$/.exec(location.hash);
  return match && Number(match[1]) < count ? Number(match[1]) : null;
};

function probabilityPart(row, probabilities) {
  const before = probabilities.subarray(0, classes.length);
  const after = probabilities.subarray(classes.length);
  const likely = (label) => Math.max(before[label] || 0, after[label] || 0);
  const labels = classes.map((_, label) => label).sort((a, b) => likely(b) - likely(a) || a - b);
  const line = (label) => [
    className(label),
    ...[before, after].map((values) =>
      element(
        "span",
        { class: "share", "--share": String(values[label] || 0) },
        percent(values[label]),
      ),
    ),
  ];
  const shown = labels
    .slice(0, MOST_CLASSES_AT_FIRST)
    .sort((a, b) => a - b)
    .map(line);
  const rest = labels.slice(MOST_CLASSES_AT_FIRST);
  const others = rest.length
    ? asTable(
        "The other classes",
        ["class", "before", "after"],
        rest.map((label) => [className(label), percent(before[label]), percent(after[label])]),
      )
    : null;
  return element(
    "section",
    {},
    element("h3", {}, "Probabilities"),
    table("What the model says before and after", ["class", "before", "after"], shown, {
      class: "probabilities",
    }),
    others,
  );
}

// What the model and its guides each say; rows that needed nothing, or hold no numbers, have none.
function convincedPart(row, values) {
  const { guided } = payload;
  if (!values || isAlready(row) || guided.aim[row] < 0 || !isDrawable(row)) return null;
  const aim = className(guided.aim[row]);
  const lines = guided.who.map(({ name, asked }, place) => {
    const [before, after, readsBefore, readsAfter, convinced] = values.subarray(5 * place);
    return [
      name,
      `${className(readsBefore)} → ${className(readsAfter)}`,
      `${closePercent(before)} → ${closePercent(after)}`,
      asked,
      convinced
        ? element("span", { class: "outcome found" }, "✓ yes")
        : element("span", { class: "outcome missed" }, "✗ no"),
    ];
  });
  return element(
    "section",
    {},
    element("h3", {}, "Who was convinced"),
    wideTable(
      `What each says before and after the change; the new class is ${aim}`,
      ["", "reads", `probability of ${aim}`, "asked for", "convinced"],
      lines,
      { class: "convinced" },
    ),
    element(
      "p",
      { class: "hint" },
      "A guide is another model that small, invisible changes don't fool. It took part in the " +
        "search: a counterfactual counts only where it agrees. So it is no independent witness; " +
        "judges are.",
    ),
  );
}

function numberPart(row, losses) {
  const truth = trueClassName(row);
  const facts = [
    ...(truth === null ? [] : [["really", truth, "What the row is known to be."]]),
    ["target class", className(columns.targetClass[row]), "The class that the search was led to."],
    ...payload.measures.map(({ key, label, help: text }) => [
      label,
      format(valueOf(key, row)),
      text,
    ]),
  ].map(([label, value, text]) => [element("span", {}, label, help(text)), value]);
  const parts = [
    element(
      "section",
      {},
      element("h3", {}, "Numbers"),
      table("Of this row", ["", ""], facts, { class: "facts" }),
    ),
  ];
  if (losses) {
    const terms = payload.lossTerms.map((term, k) => [term, format(losses[k])]);
    parts.push(
      element(
        "section",
        {},
        element("h3", {}, "Loss terms"),
        table("Weighted, at the counterfactual", ["term", "value"], terms, { class: "facts" }),
      ),
    );
  }
  return parts;
}

function picturePart(row, original, counterfactual, other) {
  const caption = isFound(row) ? "counterfactual" : "best attempt";
  const pictures = [
    ["original", original],
    [caption, counterfactual],
  ];
  if (other) pictures.push([payload.comparison.names[1], other]);
  const figures = pictures.map(([name, bytes]) => {
    const canvas = canvasOf(`${name} of row ${row}`);
    drawPicture(canvas, bytes);
    return figure(canvas, name);
  });
  const change = canvasOf(`difference of row ${row}`);
  drawDifference(change, original, counterfactual);
  figures.splice(2, 0, figure(change, "difference"));
  return element(
    "section",
    { class: "large" },
    element("div", { class: "pictures" }, figures),
    element("p", { class: "hint" }, differenceLegend()),
  );
}

function featurePart(row, original, counterfactual, other) {
  const named = [
    ["original", original],
    [isFound(row) ? "counterfactual" : "best attempt", counterfactual],
  ];
  if (other) named.push([payload.comparison.names[1], other]);
  return element(
    "section",
    {},
    element("h3", {}, "What changes"),
    changeList(original, counterfactual, contents.features.length),
    element(
      "details",
      { class: "numbers" },
      element("summary", {}, "all features"),
      featureTable(`All features, ${contents.units}`, named),
    ),
  );
}

function comparisonPart(row) {
  const { comparison } = payload;
  if (!comparison) return null;
  const { label } = comparison.statuses[comparison.status[row]];
  const steps = comparison.steps[row];
  return element(
    "p",
    {},
    `${comparison.names[1]}: ${label}, ${className(comparison.newClass[row])}, ${plural(steps, "step")}`,
  );
}

function contentPart(row, original, counterfactual, other) {
  if (payload.kind === "picture" && !isDrawable(row)) return undrawable();
  if (payload.kind === "picture") return picturePart(row, original, counterfactual, other);
  if (payload.kind === "features") return featurePart(row, original, counterfactual, other);
  return element(
    "p",
    { class: "hint" },
    `A row of shape ${contents.shape.join(" × ")} is not drawn: pictures have one or three channels.`,
  );
}

async function showInstance(row) {
  shownRow = row;
  const dialog = byId("instance");
  if (!dialog.open) cameFrom = document.activeElement?.closest("#example-cards a, .glance a") ?? null;
  byId("instance-title").textContent = `${rowName(row)}: ${decision(row)}`;
  markNeighbours();
  if (!dialog.open) dialog.showModal();
  const [original, counterfactual, other, probabilities, losses, convinced] = await Promise.all(
    ["original", "counterfactual", "other", "probabilities", "losses", "convinced"].map((name) =>
      rowOf(name, row),
    ),
  );
  const search = await searchParts(row, original, counterfactual);
  if (shownRow !== row) return; // another one was asked for meanwhile
  byId("instance-content").replaceChildren(
    ...[
      element(
        "p",
        { class: outcomeClass(row) },
        `${outcomeMark(row)} ${messageOf(row)}`,
      ),
      element(
        "p",
        { class: "card-numbers" },
        cardNumbers(row).map((one) => element("span", {}, one)),
      ),
      comparisonPart(row),
      contentPart(row, original, counterfactual, other),
      convincedPart(row, convinced),
      element(
        "div",
        { class: "beside" },
        probabilityPart(row, probabilities),
        numberPart(row, losses),
      ),
      ...search,
    ].filter((part) => part !== null),
  );
  dialog.dataset.row = String(row);
  byId("instance-title").focus({ preventScroll: true });
}

// The row before or after, among those chosen; among all if this one isn't chosen.
function neighbour(by) {
  if (!placeOf.has(shownRow)) {
    const row = shownRow + by;
    return row >= 0 && row < count ? row : null;
  }
  return order[placeOf.get(shownRow) + by] ?? null;
}

function markNeighbours() {
  byId("previous").disabled = neighbour(-1) === null;
  byId("next").disabled = neighbour(1) === null;
}

function goTo(row) {
  if (row === null) return;
  history.replaceState(null, "", `#row=${row}`);
  showInstance(row);
}

function followAddress() {
  const row = rowInAddress();
  if (row !== null) showInstance(row);
  else if (byId("instance").open && !/^#row=/.test(location.hash)) byId("instance").close();
}

function leaveInstance() {
  const row = shownRow;
  shownRow = null;
  delete byId("instance").dataset.row;
  if (rowInAddress() !== null) history.replaceState(null, "", location.pathname + location.search);
  if (cameFrom) cameFrom.focus();
  else if (placeOf.has(row)) focusPlace(placeOf.get(row));
}

function prepareInstance() {
  const dialog = byId("instance");
  byId("previous").addEventListener("click", () => goTo(neighbour(-1)));
  byId("next").addEventListener("click", () => goTo(neighbour(1)));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", leaveInstance);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside the dialog
  });
  dialog.addEventListener("keydown", (event) => {
    const scrolls = event.target.closest(".strip, .wide");
    if (scrolls || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") goTo(neighbour(-1));
    else if (event.key === "ArrowRight") goTo(neighbour(1));
    else return;
    event.preventDefault();
  });
  window.addEventListener("hashchange", followAddress);
}
