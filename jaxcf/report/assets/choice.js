// Which rows are shown, and in which order.

const ANY = "any";
const choice = {
  outcome: ANY, // "found", "missed", or the number of a status
  original: ANY,
  reached: ANY,
  target: ANY,
  judges: ANY, // "most", "few", "none"
  wanted: "", // part of an id, or the number of a row
  sort: "row",
  descending: false,
};
const watchers = [];
let order = new Int32Array(0); // the rows shown, in order
let placeOf = new Map(); // row to its place in `order`

function fits(row) {
  const { outcome, original, reached, target, judges } = choice;
  if (outcome === "found" && !isFound(row)) return false;
  if (outcome === "missed" && !isMissed(row)) return false;
  if (typeof outcome === "number" && columns.status[row] !== outcome) return false;
  if (original !== ANY && columns.originalClass[row] !== original) return false;
  if (reached !== ANY && columns.newClass[row] !== reached) return false;
  if (target !== ANY && columns.targetClass[row] !== target) return false;
  if (choice.wanted && !isCalled(row, choice.wanted)) return false;
  if (judges === ANY) return true;
  const share = valueOf("oracle", row);
  if (share === null) return judges === "none";
  return judges === "most" ? share > 0.5 : judges === "few" && share <= 0.5;
}

// A row by its number, or by any part of what its owner calls it.
const isCalled = (row, text) =>
  String(row) === text || (labels !== null && labels[row].toLowerCase().includes(text));

// Rows without a value come last whichever way the others run.
function compareBy(values, descending) {
  return (a, b) => {
    const x = values[a];
    const y = values[b];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return (descending ? y - x : x - y) || a - b;
  };
}

function refresh() {
  const rows = [];
  for (let row = 0; row < count; row += 1) if (fits(row)) rows.push(row);
  if (choice.sort !== "row")
    rows.sort(compareBy(measures.get(choice.sort).values, choice.descending));
  else if (choice.descending) rows.reverse();
  order = Int32Array.from(rows);
  placeOf = new Map(rows.map((row, place) => [row, place]));
  for (const watch of watchers) watch();
}

function choose(changes) {
  Object.assign(choice, changes);
  refresh();
}

const unfiltered = {
  outcome: ANY,
  original: ANY,
  reached: ANY,
  target: ANY,
  judges: ANY,
  wanted: "",
};
const isFiltered = () => Object.keys(unfiltered).some((name) => choice[name] !== unfiltered[name]);
