// Everything is put in place here, once.

function prepareTheme() {
  const button = byId("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () =>
    (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const mark = () => {
    button.textContent = isDark() ? "Light colours" : "Dark colours";
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    mark();
  });
  dark.addEventListener("change", mark);
  mark();
}

document.documentElement.classList.add(`shows-${payload.kind}`);
if (payload.comparison) document.documentElement.classList.add("compares");
prepareTheme();
showQuestion();
showExamples();
showGlance();
showTiles();
showOutcomes();
showComparison();
showTransitions();
showChangedFeatures();
showSettings();
showControls();
prepareInstance();
if (payload.kind === "picture") byId("legend").textContent = differenceLegend();
if (contents.givenWidth > contents.width) {
  byId("legend").append(
    ` The pictures, of ${contents.givenWidth} × ${contents.givenHeight} pixels, are shown ` +
      `smaller, with ${contents.width} × ${contents.height}.`,
  );
}
byId("examples-key").append(...colourKey());
byId("key").append(...colourKey());
watchers.push(showHistograms, markCells, markControls, showCards, preparePrintSoon);
refresh();
// What is seen first comes first; whoever prints at once gets the cards without their pictures.
Promise.all([...document.querySelectorAll(".card")].map((made) => made.filled)).then(preparePrint);
window.addEventListener("beforeprint", () => {
  if (!byId("printed").childElementCount) preparePrint();
});
byId("cards").addEventListener("keydown", moveByKey);
new ResizeObserver(layOutAgain).observe(byId("cards"));
followAddress();
