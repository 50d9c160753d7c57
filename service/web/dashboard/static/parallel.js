// Parallel coordinates: one upright axis per objective or gene, one line per candidate.

import { Scale, colour, extent, prepare } from "./scales.js";

const EDGE = { side: 54, top: 44, bottom: 22 };
const MOST_LINES = 3000;
const CATCH = 16; // pixels beside an axis that belong to it

/** Draws axes and lines, and turns drags along an axis into bands. */
export class Parallel {
  constructor(canvas) {
    this.canvas = canvas;
    this.axes = [];
  }

  /** `axes`: {name, share, column(row)}; `order`: rows, the most interesting last. */
  draw(columns, axes, options) {
    Object.assign(this, { columns, options });
    const { context, width, height } = prepare(this.canvas);
    const step = axes.length > 1 ? (width - 2 * EDGE.side) / (axes.length - 1) : 0;
    this.axes = axes.map((axis, i) => ({
      ...axis,
      at: EDGE.side + i * step,
      scale: new Scale(...extent(options.order.map((row) => axis.column(row))), height - EDGE.bottom, EDGE.top, { share: axis.share, room: 0 }),
    }));
    context.lineJoin = "round";
    this.lines(context);
    this.uprights(context, height, step);
    this.drawn = Math.min(options.order.length, MOST_LINES);
  }

  lines(context) {
    const { columns, options } = this;
    const { kinds } = columns.header;
    const shown = options.order.slice(-MOST_LINES);
    const line = (row) => {
      context.beginPath();
      let begun = false;
      for (const axis of this.axes) {
        const value = axis.column(row);
        if (!Number.isFinite(value)) {
          begun = false;
          continue;
        }
        if (begun) context.lineTo(axis.at, axis.scale.place(value));
        else context.moveTo(axis.at, axis.scale.place(value));
        begun = true;
      }
      context.stroke();
    };
    const isParent = (row) => kinds[columns.kind[row]] === "parent";
    for (const row of shown.filter((each) => !isParent(each))) {
      const seen = options.shown(row);
      context.globalAlpha = seen ? (shown.length > 500 ? 0.25 : 0.6) : 0.05;
      context.lineWidth = columns.number[row] === columns.header.winner ? 3 : 1.2;
      context.strokeStyle = options.colours(row);
      line(row);
    }
    context.globalAlpha = 1;
    context.lineWidth = 3.5;
    for (const row of shown.filter(isParent)) {
      context.strokeStyle = options.colours(row);
      line(row);
      const last = this.axes.at(-1);
      context.fillStyle = colour("--text");
      context.textAlign = "right";
      context.fillText((columns.header.labels[columns.number[row]] ?? "").replace(/^parent: /, ""), last.at - 6, Math.max(last.scale.place(last.column(row)) - 4, EDGE.top + 14));
    }
    context.lineWidth = 1;
  }

  uprights(context, height, step) {
    const ink = { text: colour("--text"), muted: colour("--muted"), accent: colour("--accent") };
    for (const [place, axis] of this.axes.entries()) {
      context.strokeStyle = ink.muted;
      context.beginPath();
      context.moveTo(axis.at, EDGE.top);
      context.lineTo(axis.at, height - EDGE.bottom);
      context.stroke();
      context.textAlign = "center";
      context.fillStyle = ink.text;
      context.textBaseline = "alphabetic";
      context.fillText(short(axis.name, context, Math.max(step - 8, 30)), axis.at, place % 2 && step < 70 ? 14 : 28);
      context.fillStyle = ink.muted;
      context.fillText(axis.scale.text(axis.scale.value(EDGE.top)), axis.at, EDGE.top - 4);
      context.fillText(axis.scale.text(axis.scale.value(height - EDGE.bottom)), axis.at, height - 6);
      const band = this.options.bands[axis.key];
      if (band === undefined) continue;
      const [top, bottom] = [axis.scale.place(band[1]), axis.scale.place(band[0])];
      context.fillStyle = ink.accent;
      context.globalAlpha = 0.3;
      context.fillRect(axis.at - 8, top, 16, bottom - top);
      context.globalAlpha = 1;
    }
  }

  /** Returns the axis at a place, or undefined. */
  axisAt(x) {
    return this.axes.find((axis) => Math.abs(axis.at - x) <= CATCH);
  }
}

function short(text, context, room) {
  if (context.measureText(text).width <= room) return text;
  let cut = text;
  while (cut.length > 1 && context.measureText(`…${cut}`).width > room) cut = cut.slice(1);
  return `…${cut}`; // names of genes differ at their end
}
