// The page of the REST interface: sends what a form says, and shows the answer as it came.

const LONGEST = 200_000; // letters of an answer that are shown
const PATIENCE = 10_000; // milliseconds of a stream that are shown

for (const form of document.querySelectorAll("form[data-operation]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}
open(location.hash);
addEventListener("hashchange", () => open(location.hash));

/** Opens the operation that the address names. */
function open(hash) {
  const named = hash && document.getElementById(hash.slice(1));
  if (named instanceof HTMLDetailsElement) named.open = true;
}

/** Returns the request that a form describes. */
function asked(form) {
  const query = new URLSearchParams();
  const headers = {};
  let path = form.dataset.path;
  for (const field of form.querySelectorAll("[data-in]")) {
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    else if (field.value === "") continue;
    else if (field.dataset.in === "query") query.append(field.name, field.value);
    else headers[field.name] = field.value;
  }
  const body = form.elements["-body"]?.value;
  if (body) headers["Content-Type"] = "application/json";
  const address = query.size ? `${path}?${query}` : path;
  return { address, options: { method: form.dataset.method, headers, body: body || undefined } };
}

async function send(form) {
  const { address, options } = asked(form);
  const started = performance.now();
  say(form, `${options.method} ${address} …`, "");
  try {
    const response = await fetch(address, options);
    const text = await read(response);
    const took = Math.round(performance.now() - started);
    say(form, `${response.status} ${response.statusText} · ${took} ms · ${response.headers.get("Content-Type") ?? "no content"}`, text);
  } catch (error) {
    say(form, `The server cannot be reached (${error.message}).`, "");
  }
}

/** Returns an answer's text: JSON laid out, of a stream what comes within some seconds. */
async function read(response) {
  const reader = response.body?.getReader();
  if (!reader) return "";
  const timer = setTimeout(() => reader.cancel(), PATIENCE);
  const decoder = new TextDecoder();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += decoder.decode(part.value, { stream: true });
    if (text.length > LONGEST) await reader.cancel();
  }
  clearTimeout(timer);
  if (text.length > LONGEST) return `${text.slice(0, LONGEST)}\n… and more`;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function say(form, line, text) {
  const place = form.parentElement.querySelector(".answer");
  place.hidden = false;
  place.querySelector("p").textContent = line;
  const shown = place.querySelector("pre");
  shown.textContent = text;
  shown.hidden = text === "";
}
