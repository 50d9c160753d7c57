// Buttons: those that ask the API for something, and those that copy.

/** Returns in words why the service refused. */
export async function refusal(response) {
  let told = {};
  try {
    told = await response.json();
  } catch {
    // a proxy before the service answered, without a reason
  }
  const mistakes = (told.errors ?? []).map(({ detail, hint }) => (hint ? `${detail}; ${hint}` : detail));
  if (mistakes.length > 0) return mistakes.join(". ");
  const text = told.detail ?? told.title ?? `The server answered ${response.status}.`;
  return told.hint ? `${text}; ${told.hint}` : text;
}

/** Asks the API for something; returns why it refused (empty where it did not), and what it told. */
export async function sent(method, address, content) {
  try {
    const response = await fetch(address, {
      method,
      headers: content === undefined ? {} : { "Content-Type": "application/json" },
      body: content === undefined ? undefined : JSON.stringify(content),
    });
    if (!response.ok) return { why: await refusal(response), told: null };
    return { why: "", told: response.status === 204 ? null : await response.json() };
  } catch (error) {
    return { why: `The server cannot be reached (${error.message}).`, told: null };
  }
}

/** Returns what a form holds, without what is empty; numbers as numbers. */
export function formContent(form) {
  const content = {};
  for (const [name, value] of new FormData(form)) {
    if (value !== "") content[name] = form.elements[name].type === "number" ? Number(value) : value;
  }
  return content;
}

/** Does what a button says: `data-post` is the address; method, content, a question before and a page after may be given; `data-made` is what precedes the id of what was made. */
async function post(button, changed) {
  const { post: address, method = "POST", content, confirm: question, then, done, made } = button.dataset;
  if (question !== undefined && !window.confirm(question)) return;
  button.disabled = true;
  const problem = button.closest("dialog, article")?.querySelector("[data-problem]") ?? document.getElementById("action-problem");
  problem.hidden = true;
  const { why, told } = await sent(method, address, content === undefined ? undefined : JSON.parse(content));
  button.disabled = false;
  problem.textContent = why;
  problem.hidden = why === "";
  if (why !== "") return;
  if (done !== undefined) button.replaceWith(Object.assign(document.createElement("span"), { className: "hint", role: "status", textContent: done }));
  if (made !== undefined) window.location.assign(made + told.id);
  else if (then !== undefined) window.location.assign(then);
  else changed();
}

async function copy(button) {
  const named = button.dataset.copy ? document.getElementById(button.dataset.copy) : null;
  const source = named ?? button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    window.getSelection().selectAllChildren(source); // no clipboard here: leave it selected
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

/** Listens for all buttons of the page, also those that appear later. */
export function followButtons(changed) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target) || menu.querySelector("div").contains(button)) menu.open = false;
    }
    if (button === null) return;
    if (button.dataset.post !== undefined) post(button, changed);
    else if (button.dataset.copy !== undefined) copy(button);
  });
}
