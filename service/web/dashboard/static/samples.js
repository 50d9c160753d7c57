// Sample answers: asks for an item, and shows what each model read and answered, side by side.

import { sent } from "./actions.js";

const form = document.getElementById("samples");

function made(tag, text, name = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className: name });
}

/** Returns the continuations with their log-likelihoods; the likeliest is marked. */
function choices({ continuations, scores }) {
  const best = scores.indexOf(Math.max(...scores));
  const list = made("ol", "", "groups");
  list.append(...continuations.map((text, place) => {
    const line = made("li", "");
    line.append(made(place === best ? "strong" : "span", `${place}: ${text.trim() || text}`), made("span", ` ${scores[place].toFixed(2)} nats${place === best ? ", the likeliest" : ""}`, "hint"));
    return line;
  }));
  return list;
}

function card(answer) {
  const box = made("section", "", "card answer");
  box.append(made("h3", answer.label));
  if (answer.continuations.length > 0) box.append(choices(answer));
  else {
    const text = made("pre", answer.text || "(nothing)");
    text.tabIndex = 0;
    box.append(text);
  }
  const seen = document.createElement("details");
  seen.open = true;
  const prompt = made("pre", answer.prompt || "(nothing before what is scored)");
  prompt.tabIndex = 0;
  seen.append(made("summary", "The prompt as the model saw it"), prompt);
  box.append(seen);
  return box;
}

function show(given, items) {
  const row = made("div", "", "answers");
  row.append(...items.map(card));
  const reference = items[0]?.reference;
  const words = [made("h2", `Item ${given.item} of ${given.objective}, ${given.split} split`, "apart")];
  if (reference !== null && reference !== undefined) words.push(made("p", `The task takes for right: ${reference}`, "hint"));
  document.getElementById("answers").replaceChildren(...words, row);
}

function keep(given) {
  const url = new URL(window.location.href);
  for (const name of ["objective", "split", "item"]) url.searchParams.set(name, given[name]);
  if (url.searchParams.get("sel") === null) url.searchParams.set("sel", given.number);
  window.history.replaceState(window.history.state, "", url);
}

async function ask() {
  const given = Object.fromEntries(new FormData(form));
  const content = { ...given, item: Number(given.item), number: Number(given.number) };
  const button = form.querySelector("[type=submit]");
  const problem = form.querySelector("[role=alert]");
  const waiting = document.getElementById("waiting");
  button.disabled = true;
  problem.hidden = true;
  waiting.textContent = "asking \u2026";
  const { why, told } = await sent("POST", form.dataset.send, content);
  waiting.textContent = "";
  button.disabled = false;
  problem.textContent = why;
  problem.hidden = why === "";
  if (why !== "") return;
  keep(content);
  show(content, told.items);
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
document.getElementById("next-item")?.addEventListener("click", () => {
  const field = form.querySelector("[name=item]"); // `elements.item` is a method
  field.value = Number(field.value) + 1;
  ask();
});
if (form !== null && new URL(window.location.href).searchParams.has("item")) ask();
