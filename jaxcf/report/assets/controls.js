// The filters and the order, as form controls.

const controls = {};

function addSelect(name, label, options, read) {
  const select = element(
    "select",
    { id: `control-${name}` },
    options.map(([value, text]) => element("option", { value }, text)),
  );
  select.addEventListener("change", () => choose(read(select.value)));
  controls[name] = select;
  return element("label", { class: "control" }, element("span", {}, label), select);
}

const numbered = (name) => (value) => ({ [name]: value === ANY ? ANY : Number(value) });

function classOptions(column) {
  const used = [...new Set(columns[column])].sort((a, b) => a - b);
  return [[ANY, "any"], ...used.map((label) => [label, className(label)])];
}

// Rows by what their owner calls them: the first of that id, next to which its others lie.
function idSearch() {
  const wanted = element("input", { id: "control-id", type: "text" });
  const form = element(
    "form",
    { class: "control" },
    element("label", { for: "control-id" }, "Go to id"),
    element("span", { class: "pair" }, wanted, element("button", { type: "submit" }, "Open")),
  );
  wanted.addEventListener("input", () => wanted.setCustomValidity(""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const row = labels.indexOf(wanted.value.trim());
    wanted.setCustomValidity(row < 0 ? "No row has this id." : "");
    if (row < 0) form.reportValidity();
    else location.hash = `row=${row}`;
  });
  return form;
}

function showControls() {
  const outcomes = [
    [ANY, "any"],
    ["found", "found"],
    ["missed", "not found"],
  ];
  for (const [code, { name, label }] of Object.entries(payload.statuses)) {
    if (name !== "found") outcomes.push([code, `· ${label}`]);
  }
  const sorts = [["row", "row number"], ...payload.measures.map(({ key, label }) => [key, label])];
  const parts = [
    addSelect("outcome", "Outcome", outcomes, (value) => ({
      outcome: Number.isNaN(Number(value)) ? value : Number(value),
    })),
    addSelect("original", "Class before", classOptions("originalClass"), numbered("original")),
    addSelect("reached", "Class after", classOptions("newClass"), numbered("reached")),
    addSelect("target", "Target class", classOptions("targetClass"), numbered("target")),
  ];
  if (hasJudges) {
    parts.push(
      addSelect(
        "judges",
        "Judges",
        [
          [ANY, "any"],
          ["most", "most read the new class"],
          ["few", "half or fewer do"],
          ["none", "not judged"],
        ],
        (value) => ({ judges: value }),
      ),
    );
  }
  parts.push(
    addSelect("sort", "Sort by", sorts, (value) => ({ sort: value })),
    addSelect(
      "direction",
      "Order",
      [
        ["up", "lowest first"],
        ["down", "highest first"],
      ],
      (value) => ({ descending: value === "down" }),
    ),
  );
  if (labels) parts.push(idSearch());
  const goTo = element("input", {
    id: "control-row",
    type: "number",
    min: 0,
    max: count - 1,
    step: 1,
  });
  const form = element(
    "form",
    { class: "control" },
    element("label", { for: "control-row" }, "Go to row"),
    element("span", { class: "pair" }, goTo, element("button", { type: "submit" }, "Open")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (goTo.value !== "" && Number(goTo.value) < count)
      location.hash = `row=${Number(goTo.value)}`;
  });
  const reset = element(
    "button",
    { type: "button", id: "reset", onclick: () => choose(unfiltered) },
    "Show all rows",
  );
  byId("controls").append(...parts, form, reset);
}

function markControls() {
  for (const name of ["outcome", "original", "reached", "target", "judges", "sort"]) {
    if (controls[name]) controls[name].value = String(choice[name]);
  }
  controls.direction.value = choice.descending ? "down" : "up";
  byId("reset").disabled = !isFiltered();
  const text = `${whole.format(order.length)} of ${plural(count, "row")} shown`;
  byId("shown").textContent = text;
}
