// The editor of a new experiment: reads the text while it is typed, checks it against models and tasks,
// and creates the experiment.

import { refusal } from "./actions.js";

const QUICK = 250; // milliseconds after the last key until the text is read
const THOROUGH = 1500; // and until models and tasks are looked at
const text = document.getElementById("text");
const verdict = document.getElementById("verdict");
const create = document.getElementById("create");
let current; // what the server read of the text
let asked = 0;
let timers = [];

async function post(url, content) {
  return fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
}

function say(words) {
  verdict.textContent = words;
}

/** Returns where in the text a JSON pointer points to: itself, or what would hold it. */
function placeOf(pointer) {
  let wanted = pointer;
  while (wanted && !(wanted in current.places)) wanted = wanted.slice(0, wanted.lastIndexOf("/"));
  return current.places[wanted] ?? [1, 1];
}

function showMistakes(mistakes) {
  const list = document.getElementById("mistakes");
  list.replaceChildren(...mistakes.map(({ line, column, pointer, detail, hint }) => {
    const item = document.createElement("li");
    const link = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: `${line}:${column}` });
    link.addEventListener("click", () => select(line, column));
    const words = document.createElement("span");
    const where = document.createElement("code");
    where.textContent = pointer.slice(1).replaceAll("/", ".");
    words.append(where, pointer ? " " : "", detail);
    item.append(link, words);
    if (hint) item.append(Object.assign(document.createElement("span"), { className: "hint block", textContent: hint }), ...fixes(line, hint));
    return item;
  }));
  document.getElementById("no-mistakes").hidden = mistakes.length > 0;
  const wrong = new Set(mistakes.map((mistake) => mistake.line));
  const count = text.value.split("\n").length;
  document.getElementById("lines").replaceChildren(...Array.from({ length: count }, (_, i) => {
    const part = document.createElement("span");
    part.textContent = `${i + 1}\n`;
    if (wrong.has(i + 1)) part.className = "wrong";
    return part;
  }));
}

/** A button that writes the word that was probably meant, where the hint names one. */
function fixes(line, hint) {
  const meant = /did you mean ['"‘“]?([\w.-]+)/i.exec(hint)?.[1];
  if (meant === undefined) return [];
  const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: `Write ${meant}` });
  button.addEventListener("click", () => {
    const lines = text.value.split("\n");
    const words = lines[line - 1].match(/[\w.-]+/g) ?? [];
    const near = words.sort((a, b) => distance(a, meant) - distance(b, meant))[0];
    lines[line - 1] = lines[line - 1].replace(near, meant);
    text.value = lines.join("\n");
    changed();
  });
  return [button];
}

/** Returns how many letters differ, counted roughly: enough to find the word that was mistyped. */
function distance(a, b) {
  const letters = (word) => [...word.toLowerCase()];
  const missing = (one, other) => letters(one).filter((letter) => !letters(other).includes(letter)).length;
  return missing(a, b) + missing(b, a) + Math.abs(a.length - b.length);
}

function select(line, column) {
  const before = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  const end = text.value.indexOf("\n", before);
  text.focus();
  text.setSelectionRange(before + column - 1, end < 0 ? text.value.length : end);
}

/** Reads the text by itself: YAML, names, types and bounds. */
async function read() {
  const turn = ++asked;
  const response = await post("/new/read", { text: text.value });
  if (turn !== asked) return;
  if (!response.ok) {
    say(await refusal(response));
    return;
  }
  current = await response.json();
  showMistakes(current.mistakes);
  fill();
  create.disabled = true;
  document.getElementById("facts").hidden = true;
  say(current.mistakes.length > 0 ? "The text has mistakes." : "The text is right by itself; models and tasks are looked at next.");
}

/** Looks at models and tasks as well: everything that creating would check. */
async function check() {
  if (current?.content == null || current.mistakes.length > 0) return;
  const turn = asked;
  say("Looking at models and tasks …");
  const response = await post("/api/v1/experiments/validate", current.content);
  if (turn !== asked) return;
  if (!response.ok) {
    say(await refusal(response));
    return;
  }
  const found = await response.json();
  const mistakes = found.mistakes.map((mistake) => {
    const [line, column] = placeOf(mistake.pointer);
    return { ...mistake, line, column };
  });
  showMistakes(mistakes);
  create.disabled = !found.valid;
  say(found.valid ? "Everything was checked: it can be created." : "It cannot be created as it is.");
  if (found.valid) showFacts(found);
}

function tile(name, value) {
  const part = document.createElement("div");
  part.append(Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: value }));
  return part;
}

function bytes(count) {
  return count >= 1e9 ? `${(count / 1e9).toFixed(1)} GB` : `${(count / 1e6).toFixed(1)} MB`;
}

function showFacts(found) {
  const budget = found.spec.budget.candidates;
  const tiles = [
    tile("Search space", `${found.genes.length} genes${found.idle_genes.length ? `, ${found.idle_genes.length} that do nothing are not searched` : ""}`),
    tile("Candidates", `${budget} and ${found.baselines.length} baselines`),
    tile("Algorithm", found.algorithm ?? "–"),
    tile("Parameters of a model", found.parameters?.toLocaleString("en") ?? "–"),
    tile("Parents in memory", found.parent_bytes ? bytes(found.parent_bytes) : "–"),
    tile("Live model on top", found.parent_bytes ? bytes(found.parent_bytes / Math.max(found.spec.parents.length + (found.spec.base ? 1 : 0), 1)) : "–"),
  ];
  if (found.cost) {
    tiles.push(tile("Items asked in the search", found.cost.search.toLocaleString("en")));
    tiles.push(tile("Items asked in the examination", found.cost.examination.toLocaleString("en")));
  }
  document.getElementById("tiles").replaceChildren(...tiles);
  document.getElementById("warnings").replaceChildren(...found.warnings.map((words) => Object.assign(document.createElement("li"), { textContent: words })));
  document.getElementById("facts").hidden = false;
}

/** Shows in the fields what the text says. */
function fill() {
  for (const field of document.querySelectorAll("#fields [data-key]")) {
    if (field === document.activeElement) continue;
    const value = field.dataset.key.split(".").reduce((inner, key) => inner?.[key], current.content ?? {});
    field.value = value ?? "";
  }
}

/** Writes a field's value into its line of the text, or adds the line. */
function set(key, value) {
  const written = field_text(value);
  const [first, second] = key.split(".");
  const lines = text.value.split("\n");
  const at = lines.findIndex((line) => new RegExp(`^${first}:`).test(line));
  if (second === undefined) {
    if (at >= 0) lines[at] = `${first}: ${written}`;
    else lines.push(`${first}: ${written}`);
  } else if (at < 0) lines.push(`${first}: {${second}: ${written}}`);
  else setInner(lines, at, second, written);
  text.value = lines.join("\n");
  changed();
}

function setInner(lines, at, key, written) {
  const inline = new RegExp(`(\\b${key}:\\s*)[^,}]*`);
  if (lines[at].includes("{")) {
    lines[at] = inline.test(lines[at]) ? lines[at].replace(inline, `$1${written}`) : lines[at].replace("{", `{${key}: ${written}, `).replace(", }", "}");
    return;
  }
  for (let row = at + 1; row < lines.length && /^\s/.test(lines[row]); row += 1) {
    if (new RegExp(`^\\s+${key}:`).test(lines[row])) {
      lines[row] = lines[row].replace(new RegExp(`(${key}:\\s*).*`), `$1${written}`);
      return;
    }
  }
  lines.splice(at + 1, 0, `  ${key}: ${written}`);
}

function field_text(value) {
  return /^[\w./-]+$/.test(value) ? value : JSON.stringify(value);
}

function changed() {
  for (const timer of timers) clearTimeout(timer);
  asked += 1; // answers to what stood there before are too late
  timers = [setTimeout(read, QUICK), setTimeout(check, THOROUGH)];
}

text.addEventListener("input", changed);
text.addEventListener("scroll", () => { document.getElementById("lines").scrollTop = text.scrollTop; });
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
  const line = text.value.slice(0, text.selectionStart).split("\n").at(-1);
  const indent = /^\s*/.exec(line)[0];
  if (indent === "") return;
  event.preventDefault();
  text.setRangeText(`\n${indent}`, text.selectionStart, text.selectionEnd, "end");
  changed();
});
document.getElementById("example").addEventListener("change", (event) => {
  const found = document.querySelector(`template[data-example="${CSS.escape(event.target.value)}"]`);
  if (found === null) return;
  text.value = found.content.textContent;
  changed();
});
for (const field of document.querySelectorAll("#fields [data-key]")) {
  field.addEventListener("change", () => { if (field.value !== "") set(field.dataset.key, field.value); });
}
document.getElementById("fields").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("check").addEventListener("click", async () => { await read(); await check(); });
create.addEventListener("click", async () => {
  create.disabled = true;
  const response = await post("/api/v1/experiments", current.content);
  if (response.ok) window.location.assign(`/e/${(await response.json()).id}`);
  else {
    say(await refusal(response));
    create.disabled = false;
  }
});
await read();
timers = [setTimeout(check, THOROUGH)];
