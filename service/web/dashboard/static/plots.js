// Draws the figures that the server builds, in the theme that the reader or the system asks for.

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const touch = window.matchMedia("(pointer: coarse)");
const SETTINGS = { displayModeBar: false, responsive: true, displaylogo: false, doubleClick: "reset" };

/** Returns `dark` or `light`. */
export function theme() {
  return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
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
  await window.Plotly.react(element, figure.data, figure.layout, SETTINGS);
}

/** Draws every figure of the page, again where it changed. */
export async function drawAll() {
  await Promise.all(plots().map(draw));
}

/** Calls `chosen` with a candidate's number when its point is clicked. */
export function onPoint(chosen) {
  for (const element of plots()) {
    element.on?.("plotly_click", (event) => {
      const number = event.points[0]?.customdata;
      if (Number.isInteger(number)) chosen(number);
    });
  }
}

/** Draws again when the theme changes. */
export function followTheme(redraw) {
  dark.addEventListener("change", redraw);
  window.addEventListener("themechange", redraw);
}
