// How the search for a row went: its path as a strip, losses, prototype and nearest training rows.

async function pointsOf(name, place) {
  const kept = payload.searches[`${name}Present`]?.[place];
  if (!kept || !arrays.has(name)) return [];
  const values = await arrays.get(name).row(place);
  const size = values.length / kept.length;
  return kept.map((isThere, k) => (isThere ? values.subarray(k * size, (k + 1) * size) : null));
}

// When a point was reached, and below it what the model read there, where that is known.
const stepCaption = (when, reading) =>
  element("span", {}, when, ...(reading ? [element("br"), element("small", {}, reading)] : []));

async function pathPart(place, original) {
  const evaluations = payload.searches.evaluations?.[place] ?? [];
  const points = await pointsOf("path", place);
  const readings = payload.searches.readings?.[place] ?? [];
  const said = (k) =>
    readings[k] ? `${className(readings[k][0])}, ${percent(readings[k][1])}` : null;
  const steps = evaluations
    .map((evaluation, k) => [evaluation, points[k], said(k)])
    .filter(([, point]) => point);
  if (!steps.length) return null;
  const title = element("h3", {}, "The way of the search");
  if (payload.kind === "picture") {
    const figures = steps.map(([evaluation, point, reading]) => {
      const canvas = canvasOf(`after ${plural(evaluation, "step")}${reading ? `: ${reading}` : ""}`);
      drawPicture(canvas, point);
      return figure(canvas, stepCaption(`step ${evaluation}`, reading));
    });
    return element(
      "section",
      {},
      title,
      element(
        "div",
        { class: "strip", tabindex: 0, role: "group", "aria-label": "The way of the search" },
        figures,
      ),
    );
  }
  const moved = [...original.keys()].filter((feature) =>
    steps.some(([, point]) => differs(original[feature], point[feature])),
  );
  const named = [
    [stepCaption("start", steps[0][2]), original],
    ...steps.slice(1).map(([evaluation, point, reading]) => [
      stepCaption(`step ${evaluation}`, reading),
      point,
    ]),
  ];
  return element(
    "section",
    {},
    title,
    moved.length
      ? featureTable("Features that moved during the search", named, moved)
      : element("p", { class: "hint" }, "Nothing moved."),
  );
}

async function lossPart(place) {
  const terms = payload.searches.lossTerms ?? [];
  if (!terms.length) return null;
  const values = await rowOf("searchLosses", place);
  const each = values.length / terms.length;
  const charts = terms.map((term, k) => lineChart(term, values.subarray(k * each, (k + 1) * each)));
  return element(
    "section",
    {},
    element("h3", {}, "Loss terms over the steps"),
    element(
      "p",
      { class: "hint" },
      "What the search made small, weighted as it was; each term on a scale of its own.",
    ),
    element("div", { class: "charts" }, charts),
  );
}

async function exemplarPart(place, row, counterfactual) {
  const [prototype] = await pointsOf("prototype", place);
  const nearest = await pointsOf("nearest", place);
  const numbers = payload.searches.nearestRow?.[place] ?? [];
  const named = [];
  if (prototype) named.push([`prototype of ${className(columns.targetClass[row])}`, prototype]);
  nearest.forEach((point, k) => {
    if (point) named.push([`training row ${numbers[k]}`, point]);
  });
  if (!named.length) return null;
  const title = element("h3", {}, "Prototype and nearest training rows");
  const hint = element(
    "p",
    { class: "hint" },
    "The prototype is what the search was drawn towards; the training rows are real ones of the " +
      "new class, nearest to the counterfactual first.",
  );
  if (payload.kind !== "picture") {
    return element(
      "section",
      {},
      title,
      hint,
      featureTable("Beside the counterfactual", [["counterfactual", counterfactual], ...named]),
    );
  }
  const figures = named.map(([caption, bytes]) => {
    const canvas = canvasOf(caption);
    drawPicture(canvas, bytes);
    return figure(canvas, caption);
  });
  return element(
    "section",
    {},
    title,
    hint,
    element(
      "div",
      {
        class: "strip",
        tabindex: 0,
        role: "group",
        "aria-label": "Prototype and nearest training rows",
      },
      figures,
    ),
  );
}

async function searchParts(row, original, counterfactual) {
  if (!detailed.has(row)) return [];
  const place = detailed.get(row);
  return Promise.all([
    pathPart(place, original),
    lossPart(place),
    exemplarPart(place, row, counterfactual),
  ]);
}
