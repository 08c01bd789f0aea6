// The cards, as tall as their texts. They lie in blocks of some lines, of which only those in sight,
// and their neighbours, hold any; the others keep the height that they had, or a guess of it.

const LINES_IN_A_BLOCK = 4;
const LEAST_IN_A_BLOCK = 12;
const IN_SIGHT = "300px"; // so far above and below what is seen
const blocks = []; // in the order of the rows
let layout = { across: 1, size: LEAST_IN_A_BLOCK };
let laidOutFor = null;
let lineHeight = 200; // as far as is known, of the blocks that were drawn

const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) fillBlock(target);
      else emptyBlock(target);
    }
  },
  { rootMargin: `${IN_SIGHT} 0px` },
);

function measureLayout() {
  const list = byId("cards");
  const probe = element("div", { class: "card probe", "aria-hidden": "true" });
  list.append(probe);
  const least = probe.offsetWidth;
  probe.remove();
  const gap = Number.parseFloat(getComputedStyle(list).rowGap) || 12;
  const across = Math.max(1, Math.floor((list.clientWidth + gap) / (least + gap)));
  const lines = Math.max(LINES_IN_A_BLOCK, Math.ceil(LEAST_IN_A_BLOCK / across));
  layout = { across, size: lines * across };
  list.style.setProperty("--across", across);
  laidOutFor = list.clientWidth;
}

const startOf = (block) => blocks.indexOf(block) * layout.size;
const linesOf = (block) =>
  Math.ceil(Math.min(layout.size, order.length - startOf(block)) / layout.across);

function fillBlock(block) {
  if (block.childElementCount) return;
  const start = startOf(block);
  const rows = order.slice(start, start + layout.size);
  block.append(...[...rows].map((row, place) => card(row, start + place)));
  // What a table's row says comes a moment later; till then nothing below moves.
  Promise.all([...block.children].map((made) => made.filled)).then(() => {
    if (!block.childElementCount) return;
    block.style.minHeight = "";
    lineHeight = block.offsetHeight / linesOf(block);
  });
}

function emptyBlock(block) {
  // Whoever holds the focus stays: a screen reader would lose its place.
  if (!block.childElementCount || block.contains(document.activeElement)) return;
  block.style.minHeight = `${block.offsetHeight}px`;
  block.replaceChildren();
}

function showCards() {
  seen.disconnect();
  byId("nothing").hidden = order.length > 0;
  measureLayout();
  blocks.length = 0;
  for (let start = 0; start < order.length; start += layout.size) {
    blocks.push(element("div", { class: "block", role: "presentation" }));
  }
  for (const block of blocks) block.style.minHeight = `${linesOf(block) * lineHeight}px`;
  byId("cards").replaceChildren(...blocks);
  if (blocks.length) fillBlock(blocks[0]);
  for (const block of blocks) seen.observe(block);
}

function layOutAgain() {
  if (byId("cards").clientWidth === laidOutFor) return;
  const held = heldPlace(document.activeElement);
  showCards();
  if (held !== null) focusPlace(held);
}

function heldPlace(target) {
  const held = target?.closest?.("#cards .card");
  return held ? (placeOf.get(Number(held.dataset.row)) ?? null) : null;
}

function focusPlace(place) {
  if (place < 0 || place >= order.length) return;
  const block = blocks[Math.floor(place / layout.size)];
  fillBlock(block);
  const made = block.children[place % layout.size];
  made.scrollIntoView({ block: "nearest", behavior: "instant" });
  made.querySelector("a").focus({ preventScroll: true });
}

function moveByKey(event) {
  const place = heldPlace(event.target);
  if (place === null || event.altKey || event.ctrlKey || event.metaKey) return;
  const tall = event.target.closest(".card").offsetHeight;
  const page = layout.across * Math.max(1, Math.floor(window.innerHeight / tall) - 1);
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
  if (!(event.key in targets)) return;
  event.preventDefault();
  focusPlace(targets[event.key]);
}
