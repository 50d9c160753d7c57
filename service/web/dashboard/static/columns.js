// Scores by column, as the server sends them: a header in JSON, then arrays of 32-bit numbers.

const AT_RANDOM = ["random", "quasi-random"]; // operators that look at no score
const decoder = new TextDecoder();

function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length; // the server pads the header, so that the arrays lie on multiples of four
  const next = (Kind) => {
    const array = new Kind(buffer, at, header.count);
    at += 4 * header.count;
    return array;
  };
  const [number, kind, generation, operator, method, rank] = Array.from({ length: 6 }, () => next(Int32Array));
  const values = header.objectives.map(() => next(Float32Array));
  const errors = header.objectives.map(() => next(Float32Array));
  return { header, number, kind, generation, operator, method, rank, values, errors };
}

/** Gives fresh rows the codes that words have among the old ones; words that are new come last. */
function recoded(old, fresh) {
  const lists = { kind: "kinds", operator: "operators", method: "methods" };
  const header = { ...fresh.header };
  const codes = {};
  for (const [name, list] of Object.entries(lists)) {
    header[list] = [...new Set([...old.header[list], ...fresh.header[list]])];
    codes[name] = Int32Array.from(fresh[name], (code) => header[list].indexOf(fresh.header[list][code]));
  }
  return { ...fresh, ...codes, header };
}

function joined(old, changed) {
  const fresh = recoded(old, changed);
  const renewed = new Set(fresh.number);
  const kept = [];
  for (let row = 0; row < old.number.length; row += 1) if (!renewed.has(old.number[row])) kept.push(row);
  const order = [...kept.map((row) => [old.number[row], old, row]), ...Array.from(fresh.number, (n, row) => [n, fresh, row])];
  order.sort((a, b) => a[0] - b[0]);
  const gather = (Kind, get) => Kind.from(order, ([, from, row]) => get(from)[row]);
  const each = (name) => old[name].map((_, place) => gather(Float32Array, (from) => from[name][place]));
  const ints = ["number", "kind", "generation", "operator", "method", "rank"];
  return {
    header: fresh.header,
    ...Object.fromEntries(ints.map((name) => [name, gather(Int32Array, (from) => from[name])])),
    values: each("values"),
    errors: each("errors"),
  };
}

/** Returns the columns as they are now; `old` ones are renewed by what changed alone. */
export async function load(address, split, old) {
  const url = new URL(address, window.location.href);
  url.searchParams.set("split", split);
  const same = old !== undefined && old.header.split === split;
  if (same) {
    url.searchParams.set("since", old.header.newest);
    url.searchParams.set("told", old.header.told);
  }
  const response = await fetch(url);
  if (!response.ok) throw new TypeError(`the server answered ${response.status}`);
  const fresh = decode(await response.arrayBuffer());
  const found = same && !fresh.header.whole ? joined(old, fresh) : fresh;
  const { header } = found;
  const front = new Set(header.front);
  found.on_front = Uint8Array.from(found.number, (number) => Number(front.has(number)));
  found.signs = header.objectives.map((objective) => (objective.higher_is_better ? 1 : -1));
  found.means = means(found);
  const drawn = header.operators.map((name) => AT_RANDOM.includes(name));
  const parent = header.kinds.indexOf("parent");
  found.is_reference = Uint8Array.from(found.number, (_, row) => Number(drawn[found.operator[row]] || found.kind[row] === parent));
  found.random = found.operator.reduce((sum, code) => sum + Number(drawn[code]), 0);
  return found;
}

/** Returns every row's weighted mean as fitness: larger is better. */
function means(columns) {
  const found = new Float32Array(columns.number.length);
  const weights = columns.header.objectives.reduce((sum, objective) => sum + objective.weight, 0);
  columns.header.objectives.forEach((objective, place) => {
    const factor = (objective.weight / weights) * columns.signs[place];
    for (let row = 0; row < found.length; row += 1) found[row] += factor * columns.values[place][row];
  });
  return found;
}
