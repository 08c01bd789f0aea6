// The cards, of which only those in sight, and a few more, are in the document.

const ROWS_BEYOND = 2; // above and below what is seen
const shownCards = new Map(); // row to its card
let layout = { across: 1, width: 0, height: 0, gap: 0 };
let laidOutFor = null;

function measureLayout() {
  const list = byId("cards");
  const style = getComputedStyle(list);
  const probe = element("li", { class: "card probe", "aria-hidden": "true" });
  list.append(probe);
  const least = probe.offsetWidth;
  const height = probe.offsetHeight;
  probe.remove();
  const gap = Number.parseFloat(style.columnGap) || 12;
  const across = Math.max(1, Math.floor((list.clientWidth + gap) / (least + gap)));
  const width = (list.clientWidth - gap * (across - 1)) / across;
  layout = { across, width, height, gap };
  const lines = Math.ceil(order.length / across);
  list.style.height = `${Math.max(0, lines * (height + gap) - gap)}px`;
}

function position(made, place) {
  const { across, width, height, gap } = layout;
  made.style.width = `${width}px`;
  made.style.left = `${(place % across) * (width + gap)}px`;
  made.style.top = `${Math.floor(place / across) * (height + gap)}px`;
}

function drawCards() {
  const list = byId("cards");
  const line = layout.height + layout.gap;
  const above = -list.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(above / line) - ROWS_BEYOND) * layout.across;
  const last = Math.min(
    order.length,
    (Math.ceil((above + window.innerHeight) / line) + ROWS_BEYOND) * layout.across,
  );
  const wanted = new Set(order.slice(first, Math.max(first, last)));
  for (const [row, made] of shownCards) {
    // Whoever holds the focus stays: a screen reader would lose its place.
    if (wanted.has(row) || made.contains(document.activeElement)) continue;
    made.remove();
    shownCards.delete(row);
  }
  let previous = null;
  for (let place = first; place < last; place += 1) {
    const row = order[place];
    let made = shownCards.get(row);
    if (!made) {
      made = card(row, place);
      position(made, place);
      shownCards.set(row, made);
      // In the order of the rows, which is the order of the Tab key.
      if (previous) previous.after(made);
      else list.prepend(made);
    }
    previous = made;
  }
}

let asked = false;
function drawSoon() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    drawCards();
  });
}

function showCards() {
  for (const made of shownCards.values()) made.remove();
  shownCards.clear();
  byId("nothing").hidden = order.length > 0;
  measureLayout();
  drawCards();
}

function layOutAgain() {
  const wide = byId("cards").clientWidth;
  if (wide === laidOutFor) return;
  laidOutFor = wide;
  measureLayout();
  for (const [row, made] of shownCards) {
    if (placeOf.has(row)) position(made, placeOf.get(row));
  }
  drawCards();
}

function focusPlace(place) {
  if (place < 0 || place >= order.length) return;
  const line = layout.height + layout.gap;
  const top = byId("cards").getBoundingClientRect().top + Math.floor(place / layout.across) * line;
  if (top < 0 || top + layout.height > window.innerHeight) {
    window.scrollBy({ top: top - window.innerHeight / 3, behavior: "instant" });
  }
  drawCards();
  shownCards.get(order[place])?.querySelector("a").focus({ preventScroll: true });
}

function moveByKey(event) {
  const held = event.target.closest?.(".card");
  if (!held || event.altKey || event.ctrlKey || event.metaKey) return;
  const place = placeOf.get(Number(held.dataset.row));
  const page = layout.across * Math.max(1, Math.floor(window.innerHeight / layout.height) - 1);
  const targets = {
    ArrowRight: place + 1,
    ArrowLeft: place - 1,
    ArrowDown: place + layout.across,
    ArrowUp: place - layout.across,
    PageDown: Math.min(order.length - 1, place + page),
    PageUp: Math.max(0, place - page),
    Home: 0,
    End: order.length - 1,
  };
  if (place === undefined || !(event.key in targets)) return;
  event.preventDefault();
  focusPlace(targets[event.key]);
}
