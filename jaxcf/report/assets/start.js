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
document.documentElement.style.setProperty("--changes", CHANGES_ON_A_CARD);
if (payload.comparison) document.documentElement.classList.add("compares");
prepareTheme();
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
watchers.push(showHistograms, markCells, markControls, showCards);
refresh();
byId("cards").addEventListener("keydown", moveByKey);
window.addEventListener("scroll", drawSoon, { passive: true });
new ResizeObserver(layOutAgain).observe(byId("cards"));
followAddress();
