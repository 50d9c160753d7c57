// Scales from numbers to pixels, their ticks, and colours out of the stylesheet.

const FEW = 6;

/** A linear or logarithmic scale; `low` and `high` are numbers, `from` and `to` pixels. */
export class Scale {
  constructor(low, high, from, to, { log = false, share = false, room = 0.06 } = {}) {
    this.log = log;
    this.share = share;
    let [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
    if (!(b > a)) [a, b] = [a - 0.5, b + 0.5];
    const margin = (b - a) * room;
    [this.a, this.b] = [a - margin, b + margin];
    [this.from, this.to] = [from, to];
  }

  place(value) {
    const at = this.log ? Math.log10(value) : value;
    return this.from + ((at - this.a) / (this.b - this.a)) * (this.to - this.from);
  }

  value(pixel) {
    const at = this.a + ((pixel - this.from) / (this.to - this.from)) * (this.b - this.a);
    return this.log ? 10 ** at : at;
  }

  ticks() {
    const found = this.log ? this.decades() : this.steps();
    return found.map((value) => ({ at: this.place(value), text: this.text(value) }));
  }

  steps() {
    const raw = (this.b - this.a) / FEW;
    const size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= raw);
    const found = [];
    for (let value = Math.ceil(this.a / step) * step; value <= this.b; value += step) found.push(value);
    return found;
  }

  decades() {
    const wide = this.b - this.a > 1.5;
    const found = [];
    for (let power = Math.floor(this.a); power <= Math.ceil(this.b); power += 1) {
      for (const n of wide ? [1] : [1, 2, 5]) found.push(n * 10 ** power);
    }
    return found.filter((value) => Math.log10(value) >= this.a && Math.log10(value) <= this.b);
  }

  text(value) {
    return write(value, this.share, 0);
  }
}

/** Writes a number as the pages do. */
export function write(value, share, digits = 1) {
  if (!Number.isFinite(value)) return "–";
  if (share) return `${(value * 100).toFixed(digits)}\u202f%`;
  return String(Number(value.toPrecision(digits === 0 ? 3 : 4)));
}

/** Returns the smallest and largest of some finite numbers, above zero alone where the scale is logarithmic. */
export function extent(values, { log = false } = {}) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [log ? 0.1 : 0, 1];
}

/** Returns a colour of the stylesheet, whatever the theme. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export const KINDS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7d8894"];

const RAMPS = {
  light: [[222, 235, 247], [66, 146, 198], [8, 48, 107]],
  dark: [[38, 66, 96], [66, 146, 198], [200, 228, 255]],
};

/** Returns the colour at a place of [0, 1] of a sequence. */
export function ramp(place, theme) {
  const stops = RAMPS[theme];
  const at = Math.min(Math.max(place, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(at), stops.length - 2);
  const mix = stops[below].map((c, i) => Math.round(c + (stops[below + 1][i] - c) * (at - below)));
  return `rgb(${mix.join(" ")})`;
}

/** Sizes a canvas to its place on the page, in sharp pixels; returns its context, width and height. */
export function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  context.lineWidth = 1;
  return { context, width, height };
}
