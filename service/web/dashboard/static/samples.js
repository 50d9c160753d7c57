// Sample answers: asks for an item, and shows what each model read and answered, side by side.

import { sent } from "./actions.js";

const form = document.getElementById("samples");

function made(tag, text, name = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className: name });
}

/** Returns what was compared with its log-likelihoods; the likeliest is marked. */
function choiceList({ choices }) {
  const best = Math.max(...choices.map((one) => one.log_likelihood));
  const list = made("ol", "", "groups");
  list.append(...choices.map(({ text, log_likelihood: value }, place) => {
    const line = made("li", "");
    const likeliest = value === best;
    line.append(made(likeliest ? "strong" : "span", `${place}: ${text.trim() || text}`), made("span", ` ${value.toFixed(2)} nats${likeliest ? ", the likeliest" : ""}`, "hint"));
    return line;
  }));
  return list;
}

function card(label, answer) {
  const box = made("section", "", "card answer");
  const title = made("h3", label);
  if (answer.value !== null) title.append(made("span", ` scored ${Number(answer.value.toPrecision(3))}`, "hint"));
  box.append(title);
  if (answer.choices.length > 0) box.append(choiceList(answer));
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

function show(given, found) {
  const row = made("div", "", "answers");
  row.append(...found.map(([label, answer]) => card(label, answer)));
  const words = [made("h2", `Item ${given.item} of ${given.objective}, ${given.split} split`, "apart")];
  if (found.length > 0) words.push(made("p", `The task takes for right: ${found[0][1].target}`, "hint"));
  document.getElementById("answers").replaceChildren(...words, row);
}

/** Returns one model's answer: a stored one, or one that a worker gives now; and why there is none. */
async function answerOf(number, given) {
  const address = `${form.dataset.candidates}${number}/samples`;
  const fits = (one) => one.benchmark === given.objective && one.split === given.split && one.item === given.item;
  const stored = await fetch(address);
  const before = stored.ok ? (await stored.json()).items.find(fits) : undefined;
  if (before !== undefined) return { why: "", answer: before };
  const { why, told } = await sent("POST", address, { split: given.split, objective: given.objective, items: [given.item] });
  if (why !== "") return { why, answer: undefined };
  const answer = told.items.find(fits);
  return { why: answer === undefined ? `${given.objective} has no item ${given.item} in its ${given.split} split.` : "", answer };
}

function keep(given) {
  const url = new URL(window.location.href);
  for (const name of ["objective", "split", "item", "number"]) url.searchParams.set(name, given[name]);
  window.history.replaceState(window.history.state, "", url);
}

/** Has the candidate answer, then its parents, and shows each answer when it comes. */
async function ask() {
  const text = Object.fromEntries(new FormData(form));
  const given = { ...text, item: Number(text.item), number: Number(text.number) };
  const models = Object.entries(JSON.parse(form.dataset.parents)).filter(([number]) => Number(number) !== given.number);
  const button = form.querySelector("[type=submit]");
  const problem = form.querySelector("[role=alert]");
  const waiting = document.getElementById("waiting");
  const found = [];
  button.disabled = true;
  problem.hidden = true;
  keep(given);
  for (const [number, label] of [[given.number, `candidate ${given.number}`], ...models]) {
    waiting.textContent = `asking ${label} \u2026`;
    const { why, answer } = await answerOf(number, given);
    problem.textContent = why;
    problem.hidden = why === "";
    if (answer === undefined) break;
    found.push([label, answer]);
    show(given, found);
  }
  waiting.textContent = "";
  button.disabled = false;
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
