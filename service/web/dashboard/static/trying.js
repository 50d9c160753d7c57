// Try it: sends a prompt, and shows what the models answered side by side, the newest prompt first.

import { sent } from "./actions.js";

const form = document.getElementById("try");

function made(tag, text, name = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className: name });
}

/** Returns one model's answer, with the prompt as the model saw it. */
function card(answer) {
  const box = made("section", "", "card answer");
  const facts = [`${answer.tokens} tokens`, `${answer.seconds.toFixed(1)} s`];
  if (answer.cut_off) facts.push("cut off");
  const seen = document.createElement("details");
  const prompt = made("pre", answer.prompt);
  prompt.tabIndex = 0;
  seen.append(made("summary", "The prompt as the model saw it"), prompt);
  const text = made("pre", answer.text || "(nothing)", "said");
  text.tabIndex = 0;
  box.append(made("h3", answer.label), text, made("p", facts.join(" \u00b7 "), "hint"), seen);
  return box;
}

function show(number, prompt, items) {
  const block = made("section", "");
  block.setAttribute("aria-label", `Answers of candidate ${number}`);
  const row = made("div", "", "answers");
  row.append(...items.map(card));
  block.append(made("h2", prompt.length > 120 ? `${prompt.slice(0, 120)}\u2026` : prompt, "apart"), row);
  document.getElementById("answers").prepend(block);
}

function wanted() {
  const given = Object.fromEntries(new FormData(form));
  const content = {
    prompt: given.prompt,
    chat: given.chat,
    parents: form.elements.parents.checked,
    max_tokens: Number(given.max_tokens),
    temperature: Number(given.temperature),
  };
  if (given.system.trim()) content.system = given.system;
  return { number: Number(given.number), content };
}

async function ask() {
  const { number, content } = wanted();
  const button = form.querySelector("[type=submit]");
  const problem = form.querySelector("[role=alert]");
  const waiting = document.getElementById("waiting");
  const started = performance.now();
  const tell = () => { waiting.textContent = `asking for ${Math.round((performance.now() - started) / 1000)} s`; };
  button.disabled = true;
  problem.hidden = true;
  tell();
  const clock = setInterval(tell, 1000);
  const { why, told } = await sent("POST", `${form.dataset.send}/${number}/answers`, content);
  clearInterval(clock);
  waiting.textContent = "";
  button.disabled = false;
  problem.textContent = why;
  problem.hidden = why === "";
  if (why === "") show(number, content.prompt, told.items);
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
