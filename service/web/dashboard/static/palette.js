// The palette: Ctrl K goes to a page, an experiment or a candidate, or presses a button of the page.

const MOST = 12;
const dialog = document.getElementById("palette");
const field = dialog.querySelector("input");
const list = document.getElementById("palette-list");
let experiments;
let shown = [];
let current = 0;

const words = (element) => element.textContent.replace(/\s+/g, " ").trim();

/** Returns the page's own links and buttons, and the installation's experiments. */
function choices() {
  const found = [];
  for (const link of document.querySelectorAll(".rail a, .places a")) found.push({ kind: "page", name: words(link), run: () => link.click() });
  found.push({ kind: "page", name: "New experiment", run: () => window.location.assign("/new") });
  for (const button of document.querySelectorAll("#head .actions button, #head .actions a, #head .menu button, #head .menu a, [data-theme-switch]")) {
    if (!button.disabled) found.push({ kind: "action", name: words(button), run: () => button.click() });
  }
  for (const one of experiments ?? []) found.push({ kind: "experiment", name: one.name, run: () => window.location.assign(`/e/${one.id}`) });
  return found;
}

/** Says how well a name fits what was typed: its letters in order, together and early ones best; -1 where not. */
function fit(name, typed) {
  const text = name.toLowerCase();
  const at = text.indexOf(typed);
  if (at >= 0) return 1000 - at - text.length / 100;
  let place = -1;
  for (const letter of typed) {
    place = text.indexOf(letter, place + 1);
    if (place < 0) return -1;
  }
  return 100 - place;
}

function find() {
  const typed = field.value.trim().toLowerCase();
  const found = choices().map((one) => ({ ...one, fit: fit(one.name, typed) })).filter((one) => one.fit >= 0);
  found.sort((a, b) => b.fit - a.fit || 0);
  const number = /^#?(\d{1,9})$/.exec(typed);
  const page = document.getElementById("experiment");
  if (number !== null && page !== null) {
    found.unshift({ kind: "candidate", name: `Candidate ${number[1]}`, run: () => window.location.assign(page.dataset.candidates + number[1]) });
  }
  shown = typed === "" ? choices().slice(0, MOST) : found.slice(0, MOST);
  current = 0;
  tell();
}

function tell() {
  list.replaceChildren(...shown.map((one, place) => {
    const line = document.createElement("li");
    line.id = `palette-${place}`;
    line.role = "option";
    line.ariaSelected = String(place === current);
    const kind = Object.assign(document.createElement("span"), { className: "hint", textContent: one.kind });
    line.append(one.name, kind);
    line.addEventListener("click", () => choose(place));
    return line;
  }));
  if (shown.length === 0) list.append(Object.assign(document.createElement("li"), { role: "option", ariaDisabled: "true", textContent: "Nothing of this name." }));
  if (shown.length > 0) field.setAttribute("aria-activedescendant", `palette-${current}`);
  else field.removeAttribute("aria-activedescendant");
  document.getElementById(`palette-${current}`)?.scrollIntoView({ block: "nearest" });
}

function choose(place) {
  const one = shown[place];
  if (one === undefined) return;
  dialog.close();
  one.run();
}

async function open() {
  if (document.querySelector("dialog[open]") !== null) return;
  field.value = "";
  find();
  dialog.showModal();
  if (experiments !== undefined) return;
  try {
    const response = await fetch("/api/v1/experiments?page_size=100");
    if (response.ok) experiments = (await response.json()).items;
  } catch {
    return; // the service is away: pages alone are offered
  }
  find();
}

field.addEventListener("input", find);
field.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step !== undefined) {
    event.preventDefault();
    current = Math.min(Math.max(current + step, 0), Math.max(shown.length - 1, 0));
    tell();
  } else if (event.key === "Enter") {
    event.preventDefault();
    choose(current);
  }
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
document.addEventListener("click", (event) => { if (event.target.closest("button[data-palette]")) open(); });
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k") return;
  event.preventDefault();
  open();
});
