// Draws the figures that the server builds, in the theme that the reader or the system asks for.

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const touch = window.matchMedia("(pointer: coarse)");
const SETTINGS = { displayModeBar: false, responsive: true, displaylogo: false, doubleClick: "reset" };

/** Returns `dark` or `light`. */
export function theme() {
  return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
}

let library;
let chosen = () => {};

/** Returns plotly, once the page itself has been painted: its script is large. */
function plotly() {
  library ??= new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = document.querySelector("meta[name=plotly]").content;
    script.addEventListener("load", () => done(window.Plotly));
    script.addEventListener("error", () => {
      library = undefined;
      script.remove();
      fail(new TypeError("plotly's script did not come"));
    });
    const add = () => document.head.append(script);
    if (document.visibilityState === "visible") requestAnimationFrame(() => setTimeout(add));
    else add();
  });
  return library;
}

const plots = () => [...document.querySelectorAll("[data-figure]")];

async function draw(element) {
  const url = new URL(element.dataset.figure, window.location.href);
  url.searchParams.set("theme", theme());
  const response = await fetch(url);
  if (!response.ok) throw new TypeError(`the server answered ${response.status}`);
  const text = await response.text();
  if (element.drawn === text) return;
  element.drawn = text;
  const figure = JSON.parse(text);
  if (touch.matches) figure.layout.dragmode = false; // a finger on the plot scrolls the page
  const words = figure.layout.meta?.description;
  if (words) element.setAttribute("aria-label", `${words} The table of candidates holds the numbers.`);
  await (await plotly()).react(element, figure.data, figure.layout, SETTINGS);
  if (element.listens) return;
  element.listens = true;
  element.on("plotly_click", (event) => {
    const number = event.points[0]?.customdata;
    if (Number.isInteger(number)) chosen(number);
  });
}

/** Draws every figure of the page, again where it changed. */
export async function drawAll() {
  await Promise.all(plots().map(draw));
}

/** Calls `open` with a candidate's number when its point is clicked. */
export function onPoint(open) {
  chosen = open;
}

/** Draws again when the theme changes. */
export function followTheme(redraw) {
  dark.addEventListener("change", redraw);
  window.addEventListener("themechange", redraw);
}
