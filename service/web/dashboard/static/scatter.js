// The front against two objectives, or turned in space against three.

import { arrow, label, mark } from "./marks.js";
import { Scale, colour, extent, prepare } from "./scales.js";

export const NUMBER = -2; // axes beside the objectives' places
export const GENERATION = -3;
const EDGE = { left: 62, right: 18, top: 14, bottom: 46 };
const MOST_ELLIPSES = 500; // more of them hide what they surround
const NEAR = 9; // pixels within which a mark is meant

/** Draws columns on a canvas, and says which row is where. */
export class Scatter {
  constructor(canvas) {
    this.canvas = canvas;
    this.turn = { yaw: 0.7, pitch: 0.45 };
    this.places = new Float32Array(0);
  }

  /** Draws; `options`: axes (places of objectives), logs, colours (row -> colour), chosen (row -> shown), ... */
  draw(columns, options) {
    Object.assign(this, { columns, options });
    const { context, width, height } = prepare(this.canvas);
    Object.assign(this, { context, width, height });
    this.ink = { text: colour("--text"), muted: colour("--muted"), line: colour("--line"), accent: colour("--accent") };
    if (options.axes.length === 3) this.space();
    else this.plane();
    this.marks();
  }

  /** Returns the row whose mark is nearest to a point, or -1. */
  nearest(x, y) {
    let best = -1;
    let least = NEAR * NEAR;
    for (let row = 0; row < this.columns.number.length; row += 1) {
      const dx = this.places[2 * row] - x;
      const dy = this.places[2 * row + 1] - y;
      const far = dx * dx + dy * dy - (this.isNamed(row) ? 40 : 0);
      if (far <= least) [best, least] = [row, far];
    }
    return best;
  }

  isNamed(row) {
    const { kinds, winner } = this.columns.header;
    return kinds[this.columns.kind[row]] !== "evolved" || this.columns.number[row] === winner || this.columns.on_front[row];
  }

  /** What lies along an axis: an objective's place, or `NUMBER` or `GENERATION`. */
  along(axis) {
    const { columns } = this;
    if (axis === NUMBER) return { values: columns.number, errors: null, title: "Candidate", share: false };
    if (axis === GENERATION) return { values: columns.generation, errors: null, title: "Generation", share: false };
    return { values: columns.values[axis], errors: columns.errors[axis], ...columns.header.objectives[axis] };
  }

  plane() {
    const { columns, options } = this;
    const [x, y] = options.axes;
    const [across, up] = [this.along(x), this.along(y)];
    const scale = (found, log, from, to) => new Scale(...extent(found.values, { log }), from, to, { log, share: found.share });
    this.x = scale(across, options.logs[0], EDGE.left, this.width - EDGE.right);
    this.y = scale(up, options.logs[1], this.height - EDGE.bottom, EDGE.top);
    this.grid(across, up);
    this.places = new Float32Array(2 * columns.number.length);
    for (let row = 0; row < columns.number.length; row += 1) {
      this.places[2 * row] = this.x.place(across.values[row]);
      this.places[2 * row + 1] = this.y.place(up.values[row]);
    }
    if (x < 0) this.best(y);
    else if (columns.header.objectives.length === 2 && x !== y) {
      this.border(this.rowsWhere((row) => columns.on_front[row] === 1), this.ink.accent);
      if (options.mixes) this.mixes();
    }
    if (options.ellipses && columns.header.front.length <= MOST_ELLIPSES) this.ellipses();
    if (options.arrows) this.arrows();
  }

  grid(across, up) {
    const { context, ink } = this;
    context.strokeStyle = ink.line;
    context.fillStyle = ink.muted;
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const tick of this.x.ticks()) {
      this.stroke(tick.at, EDGE.top, tick.at, this.height - EDGE.bottom);
      context.fillText(tick.text, tick.at, this.height - EDGE.bottom + 6);
    }
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of this.y.ticks()) {
      this.stroke(EDGE.left, tick.at, this.width - EDGE.right, tick.at);
      context.fillText(tick.text, EDGE.left - 6, tick.at);
    }
    context.fillStyle = ink.text;
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(across.title, (EDGE.left + this.width - EDGE.right) / 2, this.height - 4);
    context.save();
    context.translate(12, (EDGE.top + this.height - EDGE.bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.fillText(up.title, 0, 0);
    context.restore();
  }

  stroke(x1, y1, x2, y2) {
    this.context.beginPath();
    this.context.moveTo(x1, y1);
    this.context.lineTo(x2, y2);
    this.context.stroke();
  }

  rowsWhere(test) {
    return [...this.columns.number.keys()].filter(test);
  }

  /** The border of what some rows dominate; of two objectives alone it can be drawn. */
  border(rows, ink) {
    const { columns, context } = this;
    rows.sort((a, b) => this.places[2 * a] - this.places[2 * b]);
    if (rows.length < 2) return;
    const upFirst = columns.header.objectives[this.options.axes[0]].higher_is_better;
    context.strokeStyle = ink;
    context.beginPath();
    rows.forEach((row, i) => {
      const [px, py] = [this.places[2 * row], this.places[2 * row + 1]];
      if (i > 0) {
        const before = rows[i - 1];
        if (upFirst) context.lineTo(this.places[2 * before], py);
        else context.lineTo(px, this.places[2 * before + 1]);
      }
      context.lineTo(px, py);
    });
    context.stroke();
  }

  /** What parents and merges drawn at random reach: the curve that a search has to beat. */
  mixes() {
    const { columns, context, ink } = this;
    const [x, y] = this.options.axes;
    const fitness = (axis, row) => columns.signs[axis] * columns.values[axis][row];
    const rows = this.rowsWhere((row) => columns.is_reference[row] === 1);
    rows.sort((a, b) => fitness(x, b) - fitness(x, a) || fitness(y, b) - fitness(y, a));
    let best = -Infinity;
    const front = rows.filter((row) => {
      const better = fitness(y, row) > best;
      if (better) best = fitness(y, row);
      return better;
    });
    context.save();
    context.setLineDash([5, 4]);
    context.lineWidth = 1.5;
    this.border(front, ink.muted);
    context.restore();
  }

  /** The best score so far, from candidate to candidate. */
  best(axis) {
    const { columns, context } = this;
    const sign = columns.signs[axis];
    let best = -Infinity;
    context.strokeStyle = this.ink.accent;
    context.lineWidth = 2;
    context.beginPath();
    for (let row = 0; row < columns.number.length; row += 1) {
      if (sign * columns.values[axis][row] <= best) continue;
      const before = best;
      best = sign * columns.values[axis][row];
      if (Number.isFinite(before)) context.lineTo(this.places[2 * row], this.y.place(sign * before));
      context.lineTo(this.places[2 * row], this.places[2 * row + 1]);
    }
    context.lineTo(this.x.to, this.y.place(sign * best));
    context.stroke();
    context.lineWidth = 1;
  }

  ellipses() {
    const { columns, context } = this;
    const [across, up] = this.options.axes.map((axis) => this.along(axis));
    context.save();
    context.strokeStyle = this.ink.muted;
    context.globalAlpha = 0.45;
    for (let row = 0; row < columns.number.length; row += 1) {
      if (!this.isNamed(row) || !this.options.shown(row)) continue;
      const [px, py] = [this.places[2 * row], this.places[2 * row + 1]];
      const rx = across.errors === null ? 0.5 : Math.abs(this.x.place(across.values[row] + across.errors[row]) - px);
      const ry = up.errors === null ? 0.5 : Math.abs(this.y.place(up.values[row] + up.errors[row]) - py);
      if (!(rx + ry < 4000)) continue;
      context.beginPath();
      context.ellipse(px, py, rx, ry, 0, 0, 2 * Math.PI);
      context.stroke();
    }
    context.restore();
  }

  arrows() {
    const { columns, context } = this;
    const [x, y] = this.options.axes;
    context.save();
    context.strokeStyle = context.fillStyle = colour("--bad");
    context.globalAlpha = 0.8;
    columns.number.forEach((number, row) => {
      const held = columns.header.held_out[number];
      if (held === undefined) return;
      const across = x < 0 ? this.places[2 * row] : this.x.place(held[x]);
      arrow(context, this.places[2 * row], this.places[2 * row + 1], across, this.y.place(held[y]));
    });
    context.restore();
  }

  /** Three objectives, seen from where the reader turned them. */
  space() {
    const { columns, options, context } = this;
    const { yaw, pitch } = this.turn;
    const size = Math.min(this.width, this.height) * 0.36;
    const project = (u, v, w) => {
      const [a, b, c] = [u - 0.5, v - 0.5, w - 0.5];
      const side = a * Math.cos(yaw) - b * Math.sin(yaw);
      const deep = a * Math.sin(yaw) + b * Math.cos(yaw);
      return [this.width / 2 + side * size * 1.5, this.height / 2 - (c * Math.cos(pitch) - deep * Math.sin(pitch)) * size * 1.5];
    };
    const objectives = options.axes.map((axis) => columns.header.objectives[axis]);
    const scales = options.axes.map((axis) => new Scale(...extent(columns.values[axis]), 0, 1, { share: columns.header.objectives[axis].share }));
    this.cube(project, objectives, scales);
    this.places = new Float32Array(2 * columns.number.length);
    for (let row = 0; row < columns.number.length; row += 1) {
      const [px, py] = project(...scales.map((scale, i) => scale.place(columns.values[options.axes[i]][row])));
      this.places[2 * row] = px;
      this.places[2 * row + 1] = py;
    }
    context.lineWidth = 1;
  }

  cube(project, objectives, scales) {
    const { context, ink } = this;
    context.strokeStyle = ink.line;
    const corners = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]];
    for (const one of corners) {
      for (const other of corners) {
        const apart = one.reduce((sum, value, i) => sum + Math.abs(value - other[i]), 0);
        if (apart === 1) this.stroke(...project(...one), ...project(...other));
      }
    }
    context.fillStyle = ink.text;
    context.textAlign = "center";
    context.textBaseline = "middle";
    objectives.forEach((objective, axis) => {
      const end = [0, 0, 0];
      end[axis] = 1.12;
      context.fillText(objective.title, ...project(...end));
      context.fillStyle = ink.muted;
      for (const tick of scales[axis].ticks()) {
        const at = [0, 0, 0];
        at[axis] = tick.at;
        if (tick.at > 0.1 && tick.at < 1) context.fillText(tick.text, ...project(...at));
      }
      context.fillStyle = ink.text;
    });
  }

  marks() {
    const { columns, context, options } = this;
    const { kinds, winner, labels } = columns.header;
    const named = [];
    const draw = (row, shape, size) => {
      context.globalAlpha = options.shown(row) ? (shape === "dot" ? 0.65 : 1) : 0.1;
      context.fillStyle = options.colours(row);
      const [px, py] = [this.places[2 * row], this.places[2 * row + 1]];
      if (!Number.isFinite(px) || !Number.isFinite(py)) return;
      if (shape === "dot") context.fillRect(px - size, py - size, 2 * size, 2 * size);
      else mark(context, shape, px, py, size);
    };
    for (let row = 0; row < columns.number.length; row += 1) {
      if (this.isNamed(row)) named.push(row);
      else draw(row, "dot", columns.number.length > 5000 ? 1.2 : 2.2);
    }
    for (const row of named) {
      const kind = kinds[columns.kind[row]];
      const won = columns.number[row] === winner;
      draw(row, won ? "star" : kind === "parent" ? "diamond" : kind === "evolved" || kind === "mean" ? "circle" : "square", won ? 7 : 5);
      context.fillStyle = this.ink.text;
      if (kind === "parent" || kind === "average" || won) {
        const text = labels[columns.number[row]] ?? `#${columns.number[row]}`;
        label(context, text.replace(/^parent: /, ""), this.places[2 * row], this.places[2 * row + 1], this.width);
      }
    }
    context.globalAlpha = 1;
  }

  /** Returns the numbers behind a rectangle of pixels: [[x from, to], [y from, to]]. */
  box(x1, y1, x2, y2) {
    const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
    return [sorted(this.x.value(x1), this.x.value(x2)), sorted(this.y.value(y1), this.y.value(y2))];
  }

  /** Draws the rectangle of numbers that is chosen. */
  frame([[xLow, xHigh], [yLow, yHigh]]) {
    const { context } = this;
    context.strokeStyle = this.ink.accent;
    context.setLineDash([4, 3]);
    const [left, right] = [this.x.place(xLow), this.x.place(xHigh)];
    const [top, bottom] = [this.y.place(yHigh), this.y.place(yLow)];
    context.strokeRect(left, top, right - left, bottom - top);
    context.setLineDash([]);
  }
}
