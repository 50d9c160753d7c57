// What people call an experiment and note about it: the form sends what was changed, and nothing else.

import { sent } from "./actions.js";

function changes(form) {
  const { name, tags, notes } = form.elements;
  const found = {};
  if (name.value !== name.defaultValue) found.name = name.value.trim();
  if (tags.value !== tags.defaultValue) found.tags = [...new Set(tags.value.split(",").map((tag) => tag.trim()).filter(Boolean))];
  if (notes.value !== notes.defaultValue) found.notes = notes.value;
  return found;
}

async function save(form, changed) {
  const button = form.querySelector("[type=submit]");
  const problem = form.querySelector("[role=alert]");
  const content = changes(form);
  button.disabled = true;
  const { why } = Object.keys(content).length > 0 ? await sent("PATCH", form.dataset.send, content) : { why: "" };
  button.disabled = false;
  problem.textContent = why;
  problem.hidden = why === "";
  if (why !== "") return;
  form.closest("dialog").close();
  changed();
}

/** Listens for the form. */
export function followDescription(changed) {
  document.addEventListener("submit", (event) => {
    if (event.target.closest("#description") === null) return;
    event.preventDefault();
    save(event.target, changed);
  });
}
