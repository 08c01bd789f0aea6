// Elements and numbers. Whatever comes from data becomes a text node or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) made.style.setProperty(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

const element = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

const drawn = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

const byId = (id) => document.getElementById(id);

const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const brief = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function format(value, fraction = short) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0"; // not -0
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return whole.format(value);
  if (size < 1e-4 || size >= 1e9) return value.toExponential(2);
  return fraction.format(value);
}

const formatBriefly = (value) => format(value, brief);

// A value of a table, as exactly as it was read.
function formatEntry(value) {
  if (value === null || Number.isNaN(value)) return "missing";
  if (!Number.isFinite(value)) return format(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  // A number of 32 bits was written with fewer digits than 64 show of it.
  for (let digits = 6; Math.fround(value) === value && digits < 10; digits += 1) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return String(shorter);
  }
  return String(value);
}

function percent(share) {
  if (share === null || Number.isNaN(share)) return "–";
  if (share > 0 && share < 0.001) return "<\u00a00.1\u00a0%";
  if (share < 1 && share > 0.999) return ">\u00a099.9\u00a0%";
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

// Of a model that has to be surer than some share: what it gives near 100 % counts.
function closePercent(share) {
  if (!(share > 0.99 && share < 1)) return percent(share);
  return share > 0.9999 ? ">\u00a099.99\u00a0%" : `${(100 * share).toFixed(2)}\u00a0%`;
}

const plural = (number, one, many = `${one}s`) =>
  `${whole.format(number)} ${number === 1 ? one : many}`;

// Value below which a share of some sorted numbers lies, interpolated.
function quantile(sorted, share) {
  if (!sorted.length) return null;
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

function table(caption, heads, rows, attributes = {}) {
  const head = heads.map((text) => (text ? element("th", { scope: "col" }, text) : element("td")));
  const body = rows.map(([first, ...cells]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, first),
      cells.map((cell) => element("td", {}, cell)),
    ),
  );
  return element(
    "table",
    attributes,
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, head)),
    element("tbody", {}, body),
  );
}

// A table that scrolls by itself where it is wider than the page; by keyboard too.
function wideTable(caption, heads, rows, attributes = {}) {
  return element(
    "div",
    { class: "wide", tabindex: 0, role: "group", "aria-label": caption },
    table(caption, heads, rows, attributes),
  );
}

function help(text) {
  const dot = element("span", { class: "help", "aria-hidden": "true", title: text }, "?");
  return [dot, element("span", { class: "unseen" }, ` (${text})`)];
}
