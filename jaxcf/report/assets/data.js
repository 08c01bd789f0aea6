// What the page holds: one JSON of everything that is known of all rows, and packed arrays of which
// a block is unpacked when one of its rows is shown.

const payload = JSON.parse(document.getElementById("payload").textContent);
const { classes, columns, contents, count, labels } = payload;
const measures = new Map(payload.measures.map((measure) => [measure.key, measure]));

const TYPES = {
  uint8: Uint8Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
};
const MOST_BLOCKS_KEPT = 48;

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

async function unpacked(id, type) {
  const bytes = fromBase64(document.getElementById(id).textContent);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new TYPES[type](await new Response(stream).arrayBuffer());
}

class PackedArray {
  constructor(name, description) {
    this.name = name;
    this.description = description;
    this.size = description.shape.reduce((product, side) => product * side, 1);
    this.kept = new Map(); // number of a block to its promise, least recently used first
  }

  block(number) {
    let promise = this.kept.get(number);
    this.kept.delete(number);
    promise ??= unpacked(`${this.name}/${number}`, this.description.dtype);
    this.kept.set(number, promise);
    if (this.kept.size > MOST_BLOCKS_KEPT) this.kept.delete(this.kept.keys().next().value);
    return promise;
  }

  async row(row) {
    const { rowsPerBlock, relativeTo } = this.description;
    const values = await this.block(Math.floor(row / rowsPerBlock));
    const start = (row % rowsPerBlock) * this.size;
    const own = values.subarray(start, start + this.size);
    if (!relativeTo) return own;
    const base = await arrays.get(relativeTo).row(row);
    return own.map((change, place) => base[place] + change); // modulo 256, as bytes are
  }
}

const arrays = new Map(
  Object.entries(payload.arrays).map(([name, one]) => [name, new PackedArray(name, one)]),
);

// One row of an array, or null where the page has no such array.
async function rowOf(name, row) {
  return arrays.has(name) ? arrays.get(name).row(row) : null;
}

const statusCode = (wanted) =>
  Number(Object.keys(payload.statuses).find((code) => payload.statuses[code].name === wanted) ?? -1);
const FOUND = statusCode("found");
const ALREADY = statusCode("already_in_target");
const isFound = (row) => columns.status[row] === FOUND;
// Such a row needed no counterfactual: it is no failure, and in no share.
const isAlready = (row) => columns.status[row] === ALREADY;
const saysMissed = (status) => status !== FOUND && status !== ALREADY;
const isMissed = (row) => saysMissed(columns.status[row]);
// The same in the run that this one is compared with.
const isMissedThere = (row) => saysMissed(payload.comparison.status[row]);
const statusOf = (row) => payload.statuses[columns.status[row]];
const className = (label) => (label < 0 ? "no class" : (classes[label] ?? String(label)));
const valueOf = (key, row) => measures.get(key)?.values[row] ?? null;
// A row that holds no numbers has no picture; black would be a lie.
const isDrawable = (row) => statusOf(row).name !== "invalid_input";
const messageOf = (row) => payload.messages[row] ?? statusOf(row).message;
const hasJudges = measures.has("oracle");
const detailed = new Map(payload.searches.rows.map((row, place) => [row, place]));
