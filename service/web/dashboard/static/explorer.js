// The page of the front: a scatter, parallel coordinates and a table that choose for each other.
// What is chosen is kept in the address.

import { pick } from "./basket.js";
import { load } from "./columns.js";
import { show } from "./detail.js";
import { coalesced } from "./live.js";
import { Parallel } from "./parallel.js";
import { theme } from "./plots.js";
import { KINDS, extent, ramp, write } from "./scales.js";
import { Scatter } from "./scatter.js";

const MOST_ROWS = 30;
const root = document.getElementById("explorer");
const form = document.getElementById("axes");
const scatter = new Scatter(document.getElementById("front"));
const parallel = new Parallel(document.getElementById("parallel"));
const tip = document.getElementById("tip");
let columns;
let genes;
let state = read();

/** Returns how many objectives there are; beside them numbers and generations may lie across. */
function objectiveCount() {
  return [...form.elements.x.options].filter((option) => Number(option.value) >= 0).length;
}

/** Reads the choice in the address. */
function read() {
  const query = new URL(window.location.href).searchParams;
  const bands = {};
  for (const [name, text] of query) {
    const ends = text.split(",").map(Number);
    if (name.startsWith("b.") && ends.length === 2 && ends.every(Number.isFinite)) bands[name.slice(2)] = ends;
  }
  const box = (query.get("box") ?? "").split(",").map(Number);
  return {
    bands,
    box: box.length === 4 && box.every(Number.isFinite) ? [[box[0], box[1]], [box[2], box[3]]] : null,
    better: query.get("better") ?? "",
    genes: (query.get("genes") ?? (objectiveCount() === 1 ? "1" : "0")) === "1", // one axis alone says little
  };
}

function write_address() {
  const url = new URL(window.location.href);
  for (const name of [...url.searchParams.keys()]) {
    if (name.startsWith("b.") || ["box", "better", "genes"].includes(name)) url.searchParams.delete(name);
  }
  const round = (value) => Number(value.toPrecision(5));
  for (const [key, ends] of Object.entries(state.bands)) url.searchParams.set(`b.${key}`, ends.map(round).join(","));
  if (state.box !== null) url.searchParams.set("box", state.box.flat().map(round).join(","));
  if (state.better) url.searchParams.set("better", state.better);
  if (state.genes || objectiveCount() === 1) url.searchParams.set("genes", state.genes ? "1" : "0");
  for (const [name, value] of new FormData(form)) url.searchParams.set(name, value);
  for (const name of ["logx", "logy", "ellipses", "arrows", "mixes"]) {
    if (form.elements[name]) url.searchParams.set(name, form.elements[name].checked ? "1" : "0");
  }
  window.history.replaceState(window.history.state, "", String(url).replaceAll("%2C", ","));
}

const axis = (name) => Number(form.elements[name]?.value ?? -1);

function axesOf() {
  const chosen = [axis("x"), axis("y"), axis("z")];
  return chosen[2] >= 0 && chosen[0] >= 0 ? chosen : chosen.slice(0, 2);
}

/** Returns a function from rows to colours, and what the legend says. */
function colouring() {
  const { header } = columns;
  const by = form.elements.colour.value;
  if (by === "kind") return byKind();
  if (by === "generation" || by === "rank") {
    const [low, high] = extent(columns[by]);
    const paint = (row) => ramp(by === "rank" ? 1 - (columns.rank[row] - low) / (high - low || 1) : (columns.generation[row] - low) / (high - low || 1), theme());
    return { paint, legend: [[ramp(0, theme()), by === "rank" ? `rank ${high}${header.last_rank_is_open ? " and behind" : ""}` : `generation ${low}`], [ramp(1, theme()), by === "rank" ? "rank 1: the front" : `generation ${high}`]] };
  }
  const names = by === "operator" ? header.operators : header.methods;
  const codes = columns[by];
  return {
    paint: (row) => KINDS[codes[row] % KINDS.length],
    legend: names.map((name, i) => [KINDS[i % KINDS.length], name || "none"]),
  };
}

function byKind() {
  const dark = theme() === "dark";
  const inks = { front: dark ? "#56b4e9" : "#0072b2", cloud: dark ? "#7d8894" : "#8b95a1", parent: dark ? "#ff9a4d" : "#c44e00", other: dark ? "#d9a3d9" : "#8c5a9e", winner: dark ? "#2fd3a3" : "#00805c" };
  const { kinds, winner } = columns.header;
  const paint = (row) => {
    if (columns.number[row] === winner) return inks.winner;
    const kind = kinds[columns.kind[row]];
    if (kind === "parent") return inks.parent;
    if (kind !== "evolved" && kind !== "mean") return inks.other;
    return columns.on_front[row] ? inks.front : inks.cloud;
  };
  return { paint, legend: [[inks.parent, "◆ parents"], [inks.other, "■ baselines"], [inks.front, "● front"], [inks.cloud, "dominated"], [inks.winner, "★ winner"]] };
}

/** Returns which rows the brush, the bands and the button leave. */
function selection() {
  const mask = new Uint8Array(columns.number.length).fill(1);
  const [x, y] = [axis("x"), axis("y")];
  const tests = [];
  if (state.box !== null) {
    tests.push((row) => within(scatter.along(x).values[row], state.box[0]) && within(columns.values[y][row], state.box[1]));
  }
  for (const each of parallelAxes()) {
    const band = state.bands[each.key];
    if (band !== undefined) tests.push((row) => within(each.column(row), band));
  }
  if (state.better) tests.push(betterThanParents(state.better));
  if (tests.length === 0) return null;
  for (let row = 0; row < mask.length; row += 1) if (!tests.every((test) => test(row))) mask[row] = 0;
  return mask;
}

const within = (value, [low, high]) => value >= low && value <= high;

function betterThanParents(how) {
  const { kinds, objectives } = columns.header;
  const parents = [];
  for (let row = 0; row < columns.number.length; row += 1) if (kinds[columns.kind[row]] === "parent") parents.push(row);
  const isParent = new Set(parents);
  if (how === "mean") {
    const best = Math.max(...parents.map((row) => columns.means[row]));
    return (row) => !isParent.has(row) && columns.means[row] > best;
  }
  const bests = objectives.map((_, place) => Math.max(...parents.map((row) => columns.signs[place] * columns.values[place][row])));
  return (row) => !isParent.has(row) && bests.every((best, place) => columns.signs[place] * columns.values[place][row] > best);
}

function parallelAxes() {
  const objectives = columns.header.objectives.map((objective, place) => ({
    key: `o${place}`, name: objective.name, share: objective.share, column: (row) => columns.values[place][row],
  }));
  if (!state.genes || genes === undefined) return objectives;
  return [
    ...objectives,
    ...genes.names.map((name, place) => ({
      key: `g${place}`, name, share: false, column: (row) => genes.values[columns.number[row]]?.[place] ?? NaN,
    })),
  ];
}

/** Returns rows with the most interesting last: dominated, front, baselines; of genes alone those that are known. */
function drawingOrder() {
  const rows = [...columns.number.keys()].filter((row) => !state.genes || genes?.values[columns.number[row]] !== undefined);
  const weight = (row) => (columns.on_front[row] ? 1 : 0) + (columns.header.kinds[columns.kind[row]] === "parent" ? 2 : 0);
  return rows.sort((a, b) => weight(a) - weight(b) || a - b);
}

function draw() {
  scatter.columns = columns;
  const chosen = selection();
  const shown = chosen === null ? () => true : (row) => chosen[row] === 1;
  const { paint, legend } = colouring();
  const axes = axesOf();
  scatter.draw(columns, {
    axes,
    logs: [form.elements.logx.checked, form.elements.logy.checked],
    ellipses: form.elements.ellipses.checked,
    arrows: form.elements.arrows.checked && columns.header.split === "search",
    mixes: form.elements.mixes.checked && columns.random > 0,
    colours: paint,
    shown,
  });
  if (state.box !== null && axes.length === 2) scatter.frame(state.box);
  parallel.draw(columns, parallelAxes(), { order: drawingOrder(), colours: paint, shown, bands: state.bands });
  tellLegend(legend);
  tellMixes();
  tellSelection(chosen);
  for (const button of document.querySelectorAll("button[data-better]")) button.setAttribute("aria-pressed", String(button.dataset.better === state.better));
}

/** Says of how many random mixes the dashed curve is made; without any there is none. */
function tellMixes() {
  const label = form.elements.mixes.closest("label");
  label.hidden = columns.random === 0 || columns.header.objectives.length !== 2;
  document.getElementById("mixes-hint").textContent = label.hidden ? "" : `The dashed curve is what the parents and ${columns.random.toLocaleString("en")} mixes drawn at random reach.`;
}

function tellLegend(legend) {
  document.getElementById("legend").replaceChildren(...legend.slice(0, 12).map(([ink, words]) => {
    const part = document.createElement("span");
    const dot = document.createElement("i");
    dot.style.background = ink;
    part.append(dot, words);
    return part;
  }));
}

function cell(row, text, kind = "td", name = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (name) made.className = name;
  row.append(made);
  return made;
}

function tellSelection(chosen) {
  const rows = [...columns.number.keys()].filter((row) => (chosen === null ? columns.on_front[row] : chosen[row]));
  rows.sort((a, b) => columns.means[b] - columns.means[a]);
  const words = chosen === null
    ? `${rows.length.toLocaleString("en")} on the front, of ${columns.number.length.toLocaleString("en")} scored candidates`
    : `${rows.length.toLocaleString("en")} of ${columns.number.length.toLocaleString("en")} chosen`;
  document.getElementById("count").textContent = words;
  document.getElementById("clear").hidden = chosen === null;
  const body = document.querySelector("#selected tbody");
  body.replaceChildren(...rows.slice(0, MOST_ROWS).map((row) => {
    const line = document.createElement("tr");
    const number = columns.number[row];
    line.dataset.number = number;
    if (number === columns.header.winner) line.className = "chosen";
    const link = document.createElement("a");
    link.href = document.getElementById("experiment").dataset.candidates + number;
    link.dataset.candidate = "";
    link.textContent = number;
    cell(line, "", "td", "number").append(link);
    columns.header.objectives.forEach((objective, place) => {
      const value = columns.values[place][row];
      cell(line, `${write(value, objective.share)} ± ${write(columns.errors[place][row], objective.share)}`, "td", "number");
    });
    cell(line, columns.header.labels[number] ?? "");
    cell(line, columns.on_front[row] ? "●" : "", "td", "mark");
    return line;
  }));
  document.getElementById("more").textContent = rows.length > MOST_ROWS ? `The best ${MOST_ROWS} by their weighted mean; ${rows.length - MOST_ROWS} more.` : "";
  document.getElementById("into-basket").onclick = () => pick(rows.map((row) => columns.number[row]));
}

function changed() {
  write_address();
  draw();
}

/** What a mark says, and what its recipe gives to each layer beside the parents. */
const told = new Map();

async function hover(row, x, y) {
  if (row < 0) {
    tip.hidden = true;
    return;
  }
  const number = columns.number[row];
  const title = columns.header.labels[number] ?? `#${number}`;
  const lines = columns.header.objectives.map((objective, place) => `${objective.name}: ${write(columns.values[place][row], objective.share)} ± ${write(columns.errors[place][row], objective.share)}`);
  const name = document.createElement("strong");
  name.textContent = title;
  tip.replaceChildren(name, ...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
  tip.hidden = false;
  tip.dataset.number = number;
  const room = tip.parentElement.clientWidth - tip.offsetWidth - 4;
  tip.style.left = `${Math.max(Math.min(x + 14, room), 0)}px`;
  tip.style.top = `${y + 14}px`;
  if (!told.has(number)) {
    await new Promise((done) => setTimeout(done, 120)); // a pointer that only passes asks for nothing
    if (tip.dataset.number !== String(number)) return;
    const response = await fetch(`${root.dataset.hover}/${number}.json`);
    if (!response.ok) return;
    told.set(number, await response.json());
  }
  if (tip.dataset.number === String(number) && !tip.querySelector(".words")) tip.append(...recipe(told.get(number)));
}

function recipe({ words, bars }) {
  const said = Object.assign(document.createElement("div"), { className: "words", textContent: words });
  const rows = bars.map(({ parent, heights }) => {
    const line = Object.assign(document.createElement("div"), { className: "bars" });
    line.append(parent, ...heights.map((height) => {
      const bar = document.createElement("i");
      bar.style.height = `${Math.max(height * 22, 1)}px`;
      return bar;
    }));
    return line;
  });
  return [said, ...rows];
}

/** Where in a canvas a pointer is. */
function place(event) {
  const edge = event.currentTarget.getBoundingClientRect();
  return [event.clientX - edge.left, event.clientY - edge.top];
}

function followScatter() {
  const { canvas } = scatter;
  let start = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") return; // a finger scrolls the page
    start = place(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (start === null) hover(scatter.nearest(x, y), x, y);
    else if (axesOf().length === 3) {
      scatter.turn.yaw += event.movementX / 120;
      scatter.turn.pitch = Math.min(Math.max(scatter.turn.pitch + event.movementY / 120, -1.5), 1.5);
      draw();
    } else if (Math.hypot(x - start[0], y - start[1]) > 4) {
      state.box = scatter.box(...start, x, y);
      draw();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const [x, y] = place(event);
    const moved = start !== null && Math.hypot(x - start[0], y - start[1]) > 4;
    start = null;
    if (moved) {
      changed();
      return;
    }
    const row = scatter.nearest(x, y);
    if (row >= 0) show(columns.number[row]);
    else if (state.box !== null) {
      state.box = null;
      changed();
    }
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; tip.dataset.number = ""; });
}

function followParallel() {
  const { canvas } = parallel;
  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") return;
    const [x, y] = place(event);
    const found = parallel.axisAt(x);
    if (found === undefined) return;
    held = { key: found.key, from: y };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    canvas.style.cursor = parallel.axisAt(x) ? "row-resize" : "default";
    if (held === null || Math.abs(y - held.from) < 4) return;
    const axis = parallel.axes.find((one) => one.key === held.key);
    const ends = [axis.scale.value(held.from), axis.scale.value(y)].sort((a, b) => a - b);
    state.bands = { ...state.bands, [held.key]: ends };
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (held === null) return;
    if (Math.abs(place(event)[1] - held.from) < 4) delete state.bands[held.key];
    held = null;
    changed();
  });
}

async function loadGenes() {
  if (!state.genes || genes !== undefined) return;
  const response = await fetch(root.dataset.genes);
  if (response.ok) genes = await response.json();
}

/** Fetches what is new and draws; called when something happened. */
async function renew() {
  columns = await load(root.dataset.columns, form.elements.split.value, columns);
  await loadGenes();
  draw();
  root.dataset.drawn = columns.number.length;
}

form.addEventListener("change", async (event) => {
  if (event.target.name === "x" || event.target.name === "y" || event.target.name === "z") state.box = null;
  write_address();
  if (event.target.name === "split") await renew();
  else draw();
});
document.getElementById("swap").addEventListener("click", () => {
  const [x, y] = [form.elements.x.value, form.elements.y.value];
  if (Number(x) < 0) return; // numbers and generations stay across
  [form.elements.x.value, form.elements.y.value] = [y, x];
  [form.elements.logx.checked, form.elements.logy.checked] = [form.elements.logy.checked, form.elements.logx.checked];
  if (state.box !== null) state.box.reverse();
  changed();
});
for (const button of document.querySelectorAll("button[data-better]")) {
  button.addEventListener("click", () => {
    state.better = state.better === button.dataset.better ? "" : button.dataset.better;
    changed();
  });
}
document.getElementById("genes").addEventListener("change", async (event) => {
  state.genes = event.target.checked;
  await loadGenes();
  changed();
});
document.getElementById("clear").addEventListener("click", () => {
  state = { ...state, bands: {}, box: null, better: "" };
  changed();
});
document.getElementById("genes").checked = state.genes;
new ResizeObserver(() => { if (columns !== undefined) draw(); }).observe(root);
window.addEventListener("themechange", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
const first = renew();
document.addEventListener("experiment.changed", coalesced(async () => {
  await first; // what is under way must not be asked for again
  await renew();
}));
window.addEventListener("popstate", () => { state = read(); if (columns !== undefined) draw(); });
followScatter();
followParallel();
await first;
