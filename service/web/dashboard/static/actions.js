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

async function post(button, changed) {
  const question = button.dataset.confirm;
  if (question !== undefined && !window.confirm(question)) return;
  button.disabled = true;
  const problem = document.getElementById("action-problem");
  problem.hidden = true;
  try {
    const response = await fetch(button.dataset.post, { method: "POST" });
    if (!response.ok) {
      problem.textContent = await refusal(response);
      problem.hidden = false;
    } else {
      const made = button.dataset.made === undefined ? undefined : await response.json();
      if (made !== undefined) window.location.assign(button.dataset.made + made.id);
      else changed();
    }
  } catch (error) {
    problem.textContent = `The server cannot be reached (${error.message}).`;
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
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
    if (button === null) return;
    if (button.dataset.post !== undefined) post(button, changed);
    else if (button.dataset.copy !== undefined) copy(button);
  });
}
