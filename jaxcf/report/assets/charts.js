// Charts as SVG, each with its numbers in words and as a table. Their colours are the style sheet's.

const CHART = { width: 280, height: 120, left: 6, right: 6, top: 6, bottom: 18 };
const MOST_BARS = 24;

// Bins of equal width; of whole numbers, bins of whole width.
function binned(values) {
  const sorted = Float64Array.from(values).sort();
  const low = sorted[0];
  const high = sorted[sorted.length - 1];
  const areWhole = sorted.every(Number.isInteger);
  const spread = high - low || (areWhole ? 0 : Math.abs(low) || 1);
  const width = areWhole ? Math.max(1, Math.ceil((spread + 1) / MOST_BARS)) : spread / MOST_BARS;
  const bars = areWhole ? Math.ceil((spread + 1) / width) : MOST_BARS;
  const counts = new Array(bars).fill(0);
  for (const value of sorted) {
    counts[Math.min(bars - 1, Math.floor((value - low) / width))] += 1;
  }
  const ends = (bar) => {
    const from = low + bar * width;
    const to = areWhole ? from + width - 1 : from + width;
    return from === to ? format(from) : `${format(from)} to ${format(to)}`;
  };
  return { sorted, low, high, width, counts, ends };
}

function histogram(label, explanation, values) {
  const heading = element("h3", {}, label, help(explanation));
  if (!values.length) {
    return element("div", { class: "chart" }, heading, element("p", { class: "hint" }, "No row."));
  }
  const { sorted, low, high, counts, ends } = binned(values);
  const { width, height, left, right, top, bottom } = CHART;
  const step = (width - left - right) / counts.length;
  const most = Math.max(...counts);
  const middle = quantile(sorted, 0.5);
  const [least, greatest] = [0.05, 0.95].map((share) => format(quantile(sorted, share)));
  const words =
    `${plural(values.length, "row")}: median ${format(middle)}, ` +
    `90 % between ${least} and ${greatest}, at most ${format(high)}.`;
  const floor = height - bottom;
  const bars = counts.map((number, bar) => {
    const tall = (number / most) * (floor - top);
    return drawn(
      "rect",
      {
        class: "bar",
        x: left + bar * step + 0.5,
        y: floor - tall,
        width: Math.max(step - 1, 0.5),
        height: tall,
      },
      drawn("title", {}, `${ends(bar)}: ${plural(number, "row")}`),
    );
  });
  const picture = drawn(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `Histogram of ${label}. ${words}`,
    },
    bars,
    drawn("line", { class: "axis", x1: left, x2: width - right, y1: floor, y2: floor }),
    drawn("text", { x: left, y: height - 4 }, format(low)),
    drawn("text", { x: width - right, y: height - 4, "text-anchor": "end" }, format(high)),
  );
  const table = asTable(
    label,
    [label, "rows"],
    counts.map((number, bar) => [ends(bar), whole.format(number)]),
  );
  return chart(heading, picture, words, table);
}

// A picture with what it says in words, and its numbers.
function chart(heading, picture, words, table) {
  return element(
    "div",
    { class: "chart" },
    heading,
    picture,
    element("p", { class: "hint" }, words),
    table,
  );
}

// Built when it is opened: most never are.
function asTable(caption, heads, rows) {
  const holder = element("details", { class: "numbers" }, element("summary", {}, "as a table"));
  holder.addEventListener("toggle", () => holder.append(wideTable(caption, heads, rows)), {
    once: true,
  });
  return holder;
}

// One line over the updates of a search, on a scale that always holds 0, with a line where that is.
// `values` may hold NaN where nothing was reached.
function lineChart(label, values) {
  const reached = [...values.keys()].filter((place) => Number.isFinite(values[place]));
  const heading = element("h3", {}, label);
  if (!reached.length) return null;
  const shown = reached.map((place) => values[place]);
  const low = Math.min(...shown);
  const high = Math.max(...shown);
  const last = reached[reached.length - 1];
  const { width, height, left, right, top, bottom } = CHART;
  const floor = height - bottom;
  const x = (place) => left + (place / Math.max(last, 1)) * (width - left - right);
  const [bottomValue, topValue] = [Math.min(low, 0), Math.max(high, 0)];
  const tall = floor - top - 12;
  const y = (value) => floor - ((value - bottomValue) / (topValue - bottomValue || 1)) * tall;
  const zero = y(0);
  const points = reached.map((place) => `${x(place).toFixed(1)},${y(values[place]).toFixed(1)}`);
  const words =
    `from ${format(shown[0])} to ${format(shown[shown.length - 1])} in ${plural(last, "step")}; ` +
    `least ${format(low)}, greatest ${format(high)}`;
  const picture = drawn(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `${label} over the steps: ${words}`,
    },
    drawn("line", { class: "axis", x1: left, x2: width - right, y1: zero, y2: zero }),
    drawn("text", { x: width - right, y: zero - 3, "text-anchor": "end" }, "0"),
    points.length > 1
      ? drawn("polyline", { class: "curve", points: points.join(" ") })
      : drawn("circle", { class: "point", cx: x(reached[0]), cy: y(shown[0]), r: 3 }),
    drawn("text", { x: left, y: height - 4 }, "step 0"),
    drawn("text", { x: width - right, y: height - 4, "text-anchor": "end" }, format(last)),
    topValue > 0 ? drawn("text", { x: left, y: top + 8 }, format(high)) : null,
    bottomValue < 0 ? drawn("text", { x: left, y: floor - 3 }, format(low)) : null,
  );
  const table = asTable(
    label,
    ["step", label],
    reached.map((place) => [format(place), format(values[place])]),
  );
  return chart(heading, picture, words, table);
}

// Shares as bars with their numbers beside them; the list is its own text alternative.
function bars(rows) {
  return element(
    "ul",
    { class: "bars" },
    rows.map(({ name, share, text }) =>
      element(
        "li",
        {},
        element("span", { class: "bar-name" }, name),
        element(
          "span",
          { class: "bar-track", "aria-hidden": "true" },
          element("span", { class: "bar-fill", "--share": String(share) }),
        ),
        element("span", { class: "bar-text" }, text),
      ),
    ),
  );
}
