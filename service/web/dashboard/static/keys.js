// Keys for the hand that stays on the keyboard: they do what links and boxes do, and never while typing.

import { basket, toggle } from "./basket.js";

const rows = () => [...document.querySelectorAll("tr[data-number]")];
const home = () => document.querySelector(".rail a")?.getAttribute("href").split("?")[0];

function current() {
  return document.activeElement?.closest("tr[data-number]") ?? null;
}

function step(by) {
  const all = rows();
  if (all.length === 0) return;
  const at = all.indexOf(current());
  const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
  next.querySelector("a[data-candidate]").focus();
  next.scrollIntoView({ block: "nearest" });
}

function go(page) {
  const numbers = basket();
  window.location.assign(`${home()}/${page}${numbers.length > 0 ? `?sel=${numbers.join(",")}` : ""}`);
}

const ACTIONS = {
  "/": () => {
    const field = document.getElementById("jump-to");
    if (field !== null) field.focus();
    else if (home()) go("candidates");
  },
  j: () => step(1),
  k: () => step(-1),
  x: () => { const row = current(); if (row !== null) toggle(row.dataset.number); },
  c: () => { if (home()) go("compare"); },
  e: () => { if (home()) go("export"); },
  "?": () => document.getElementById("keys")?.showModal(),
};

/** Listens for keys outside of fields and dialogs. */
export function followKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog[open]")) {
      if (!(event.target.type === "checkbox")) return;
    }
    const action = ACTIONS[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("button[data-keys]")) document.getElementById("keys").showModal();
    if (event.target.closest("button[data-close-keys]")) document.getElementById("keys").close();
  });
}
