// The rows that are shown as a file for spreadsheets, made here: the page asks nobody for anything.

// What a spreadsheet would take for a formula, and run; beyond ASCII, what some read alike.
const FORMULA = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

// A cell of a CSV file; numbers stay what they are, texts get an apostrophe where one would be run.
function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  const text = FORMULA.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// An entry of a feature: the name of its category, or a number with all its digits.
function csvEntry(place, value) {
  const { kind, categories } = contents.features[place];
  if (Number.isNaN(value)) return null;
  return kind === "category" ? (categories[value] ?? value) : value;
}

async function csvLines() {
  const features = payload.kind === "features" ? contents.features : [];
  const heads = [
    "row",
    ...(labels ? ["id"] : []),
    "outcome",
    "class before",
    ...(columns.trueClass ? ["really"] : []),
    "class after",
    ...features.flatMap(({ name }) => [`${name} before`, `${name} after`]),
    ...payload.measures.map(({ label }) => label),
  ];
  const lines = [heads];
  for (const row of order) {
    const [before, after] = features.length
      ? await Promise.all(["original", "counterfactual"].map((name) => rowOf(name, row)))
      : [];
    lines.push([
      columns.sourceRow[row],
      ...(labels ? [labels[row]] : []),
      statusOf(row).label,
      className(columns.originalClass[row]),
      ...(columns.trueClass ? [trueClassName(row)] : []),
      className(columns.newClass[row]),
      ...features.flatMap((_, place) => [
        csvEntry(place, before[place]),
        csvEntry(place, after[place]),
      ]),
      ...payload.measures.map(({ key }) => valueOf(key, row)),
    ]);
  }
  return lines;
}

async function download() {
  const lines = await csvLines();
  const text = lines.map((cells) => `${cells.map(csvCell).join(",")}\r\n`).join("");
  // The mark in front has Excel read names in any alphabet.
  const address = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  const name = payload.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  const link = element("a", { href: address, download: `${name || "rows"}.csv` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
