// Features of a table: what changed, from what to what.

const entry = (place, value) => {
  const { kind, categories } = contents.features[place];
  if (kind === "category" && !Number.isNaN(value)) return categories[value] ?? format(value);
  return contents.exact ? formatEntry(value) : format(value);
};

const differs = (before, after) =>
  before !== after && !(Number.isNaN(before) && Number.isNaN(after));

// Places of the features that changed, those that moved farthest first.
function changedPlaces(before, after) {
  const places = [...before.keys()].filter((place) => differs(before[place], after[place]));
  const moved = (place) => {
    const { kind, scale } = contents.features[place];
    const far = kind === "category" ? 1 : Math.abs(after[place] - before[place]) / scale;
    return Number.isNaN(far) ? Infinity : far;
  };
  return places.sort((a, b) => moved(b) - moved(a) || a - b);
}

// "hours-per-week: 38 → 45", in words for those who listen.
const changeText = ([name, before, after]) =>
  element(
    "li",
    { title: `${name}: ${before} → ${after}` },
    element("span", { class: "feature" }, `${name}: `),
    element("span", { class: "old" }, before),
    element("span", { "aria-hidden": "true" }, " → "),
    element("span", { class: "unseen" }, " becomes "),
    element("strong", { class: "new" }, after),
  );

const changeLine = (place, before, after) =>
  changeText([contents.features[place].name, entry(place, before[place]), entry(place, after[place])]);

function changeList(before, after, most) {
  const places = changedPlaces(before, after);
  if (!places.length) return element("p", { class: "hint" }, "Nothing changed.");
  const more = places.length - most;
  return element(
    "div",
    {},
    element(
      "ul",
      { class: "changes" },
      places.slice(0, most).map((place) => changeLine(place, before, after)),
    ),
    more > 0 ? element("p", { class: "hint" }, `and ${plural(more, "more change")}`) : null,
  );
}

// Every feature of a row beside some others, such as its counterfactual and training rows.
function featureTable(caption, named, onlyPlaces = null) {
  const [, first] = named[0];
  const places = onlyPlaces ?? [...first.keys()];
  const rows = places.map((place) => [
    contents.features[place].name,
    ...named.map(([, values]) =>
      differs(first[place], values[place])
        ? element("strong", {}, entry(place, values[place]))
        : entry(place, values[place]),
    ),
  ]);
  return wideTable(caption, ["feature", ...named.map(([name]) => name)], rows, {
    class: "features",
  });
}
