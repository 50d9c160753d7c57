// The theme: the system's, or the one that the reader chose; set before the page is painted.

const THEMES = ["system", "light", "dark"];

function chosenTheme() {
  try {
    return window.localStorage.getItem("theme") ?? "system";
  } catch {
    return "system"; // no storage here
  }
}

function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

applyTheme(chosenTheme());

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-theme-switch]");
  if (button === null) return;
  const next = THEMES[(THEMES.indexOf(chosenTheme()) + 1) % THEMES.length];
  try {
    window.localStorage.setItem("theme", next);
  } catch {
    // it holds for this page then
  }
  applyTheme(next);
  button.querySelector("[data-word]").textContent = next;
  window.dispatchEvent(new Event("themechange"));
});

document.addEventListener("DOMContentLoaded", () => {
  const word = document.querySelector("button[data-theme-switch] [data-word]");
  if (word !== null) word.textContent = chosenTheme();
});
