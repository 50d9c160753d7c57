// The form that exports a candidate: says first what would be written, then writes it.

import { refusal } from "./actions.js";

const form = document.getElementById("export-form");

function order() {
  const given = new FormData(form);
  const target = String(given.get("target")).trim();
  const order = { candidate: Number(given.get("candidate")), format: given.get("format") };
  if (target) order.target = target;
  if (given.get("dtype")) order.dtype = given.get("dtype");
  if (given.get("shard_gigabytes")) order.shard_gigabytes = Number(given.get("shard_gigabytes"));
  for (const name of ["private", "replace", "verify", "create_pr", "accept_licences", "even_a_parent", "sign"]) {
    if (form.elements[name] !== undefined) order[name] = form.elements[name].checked;
  }
  if (given.getAll("quantize").length) order.quantize = given.getAll("quantize");
  return order;
}

async function send(path) {
  const problem = form.querySelector("[role=alert]");
  problem.hidden = true;
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  try {
    const response = await fetch(form.dataset.post + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order()) });
    if (response.ok) return await response.json();
    problem.textContent = await refusal(response);
  } catch (error) {
    problem.textContent = `The server cannot be reached (${error.message}).`;
  } finally {
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
  problem.hidden = false;
  return null;
}

function bytes(count) {
  if (count === null) return "known afterwards";
  const [size, unit] = count >= 1e9 ? [1e9, "GB"] : count >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(count / size).toFixed(1)} ${unit}`;
}

function items(id, texts) {
  const list = document.getElementById(id);
  list.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  list.hidden = texts.length === 0;
}

function preview(found) {
  document.getElementById("preview").hidden = false;
  document.getElementById("change").textContent = `${found.change} ${bytes(found.bytes)} in all. Licence: ${found.licence ?? "not looked at"}.`;
  items("refusals", found.refusals);
  items("licences", found.licence_findings);
  items("export-notes", found.notes);
  document.querySelector("#files tbody").replaceChildren(...Object.entries(found.files).map(([name, size]) => {
    const row = document.createElement("tr");
    row.append(Object.assign(document.createElement("td"), { textContent: name }), Object.assign(document.createElement("td"), { textContent: bytes(size), className: "number" }));
    return row;
  }));
  document.getElementById("card-text").textContent = found.card;
  document.getElementById("preview").scrollIntoView({ block: "nearest" });
}

if (form !== null) {
  document.getElementById("preview-export").addEventListener("click", async () => {
    if (!form.reportValidity()) return;
    const found = await send("/preview");
    if (found !== null) preview(found);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await send("") !== null) document.dispatchEvent(new Event("export.asked"));
  });
}
