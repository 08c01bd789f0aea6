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

// Finds rows while its text is typed; Enter opens the first of them.
function search() {
  const wanted = element("input", {
    id: "control-wanted",
    type: "search",
    placeholder: labels ? "part of an id, or a row" : "number of a row",
    autocomplete: "off",
  });
  controls.wanted = wanted;
  wanted.addEventListener("input", () => choose({ wanted: wanted.value.trim().toLowerCase() }));
  const form = element(
    "form",
    { class: "control" },
    element("label", { for: "control-wanted" }, labels ? "Find an id" : "Find a row"),
    wanted,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (choice.wanted && order.length) location.hash = `row=${order[0]}`;
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
  const reset = element(
    "button",
    { type: "button", id: "reset", onclick: () => choose(unfiltered) },
    "Show all rows",
  );
  const save = element(
    "button",
    { type: "button", id: "download", onclick: download },
    "Download these rows (CSV)",
  );
  byId("controls").append(search(), ...parts, reset, save);
}

function markControls() {
  for (const name of ["outcome", "original", "reached", "target", "judges", "sort"]) {
    if (controls[name]) controls[name].value = String(choice[name]);
  }
  // What is being typed stays as it is.
  if (controls.wanted.value.trim().toLowerCase() !== choice.wanted)
    controls.wanted.value = choice.wanted;
  controls.direction.value = choice.descending ? "down" : "up";
  byId("reset").disabled = !isFiltered();
  byId("download").disabled = !order.length;
  const text = `${whole.format(order.length)} of ${plural(count, "row")} shown`;
  byId("shown").textContent = text;
}
