// Pictures on canvases: bytes in, one pixel per pixel, enlarged by the style sheet.

// Red, white, blue: what got darker, what stayed, what got brighter.
const [DARKER, SAME, BRIGHTER] = ["--darker", "--same", "--brighter"].map((name) => {
  const colour = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((start) => Number.parseInt(colour.slice(start, start + 2), 16));
});

function canvasOf(label) {
  const { width, height } = contents;
  const sharp = Math.max(width, height) < 64 ? "sharp" : null;
  return element("canvas", { width, height, role: "img", "aria-label": label, class: sharp });
}

function paint(canvas, pixel) {
  const { width, height } = contents;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let place = 0; place < width * height; place += 1) {
    const [red, green, blue] = pixel(place);
    image.data.set([red, green, blue, 255], 4 * place);
  }
  context.putImageData(image, 0, 0);
}

function drawPicture(canvas, bytes) {
  const { width, height, channels } = contents;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const { data } = image;
  for (let place = 0; place < width * height; place += 1) {
    const from = place * channels;
    data[4 * place] = bytes[from];
    data[4 * place + 1] = bytes[from + (channels > 1 ? 1 : 0)];
    data[4 * place + 2] = bytes[from + (channels > 1 ? 2 : 0)];
    data[4 * place + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function drawDifference(canvas, before, after) {
  const { channels, low, high, reach } = contents;
  const unit = (high - low) / 255 / channels / reach;
  paint(canvas, (place) => {
    let change = 0;
    for (let channel = 0; channel < channels; channel += 1) {
      change += after[place * channels + channel] - before[place * channels + channel];
    }
    const share = Math.min(1, Math.abs(change * unit));
    const end = change < 0 ? DARKER : BRIGHTER;
    return SAME.map((middle, part) => middle + share * (end[part] - middle));
  });
}

const figure = (canvas, caption) =>
  element("figure", {}, canvas, element("figcaption", {}, caption));

const differenceLegend = () =>
  "Difference: blue where the counterfactual is brighter, red where it is darker, white where " +
  `nothing changed; full colour at a change of ${format(contents.reach)} or more, of a range of ` +
  `${format(contents.high - contents.low)}.`;
