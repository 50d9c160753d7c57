// Extends an experiment that stands still: asks for what comes on top, and sends the new totals.

import { sent } from "./actions.js";

function totals(form) {
  const given = new FormData(form);
  const budget = {};
  for (const name of ["candidates", "failures"]) {
    if (given.has(name)) budget[name] = Number(form.dataset[name]) + Number(given.get(name));
  }
  for (const limit of given.getAll("lift")) budget[limit] = null;
  return budget;
}

async function extend(form, changed) {
  const button = form.querySelector("[type=submit]");
  const problem = form.querySelector("[role=alert]");
  button.disabled = true;
  problem.hidden = true;
  const { why } = await sent("POST", form.dataset.post, totals(form));
  button.disabled = false;
  problem.textContent = why;
  problem.hidden = why === "";
  if (why !== "") return;
  form.closest("dialog").close();
  changed();
}

/** Listens for the button that opens the form, and for the form. */
export function followExtension(changed) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.opens !== undefined) document.getElementById(button.dataset.opens).showModal();
    if (button?.dataset.closes !== undefined) button.closest("dialog").close();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.closest("#extension") === null) return;
    event.preventDefault();
    extend(event.target, changed);
  });
}
