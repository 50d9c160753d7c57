// Shows a candidate in a drawer over the experiment's page; `?c=158` is its address, and Back closes it.
// Without scripts a candidate's link opens a page of its own.

const drawer = () => document.getElementById("detail");
const depth = () => window.history.state?.drawer ?? 0;

function number() {
  const wanted = new URL(window.location.href).searchParams.get("c");
  return wanted !== null && /^\d{1,9}$/.test(wanted) ? wanted : null;
}

async function fill(url) {
  const response = await fetch(url, { headers: { Accept: "text/html" } });
  if (!response.ok) {
    window.location.assign(url); // the page itself says what is wrong
    return;
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const close = document.createElement("button");
  close.type = "button";
  close.className = "close";
  close.textContent = "Close";
  close.addEventListener("click", () => drawer().close());
  drawer().replaceChildren(close, document.adoptNode(page.getElementById("candidate")));
  if (!drawer().open) drawer().showModal();
  drawer().scrollTop = 0;
}

/** Opens a candidate: its number becomes part of the address. */
export function show(candidate) {
  const url = new URL(window.location.href);
  url.searchParams.set("c", candidate);
  window.history.pushState({ drawer: depth() + 1 }, "", url);
  return sync();
}

/** Makes the drawer agree with the address. */
export async function sync() {
  const wanted = number();
  if (wanted !== null) await fill(document.getElementById("experiment").dataset.candidates + wanted);
  else if (drawer().open) drawer().close();
}

function forget() {
  if (number() === null) return; // closed by Back
  if (depth() > 0) {
    window.history.go(-depth());
    return;
  }
  const url = new URL(window.location.href); // opened by its address
  url.searchParams.delete("c");
  window.history.replaceState(null, "", url);
}

/** Listens for clicks on links to candidates, and on their rows. */
export function followCandidates() {
  drawer().addEventListener("close", forget);
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target === drawer()) drawer().close(); // the backdrop
    if (event.target.closest("input, button, label")) return;
    const row = event.target.closest("tr[data-number]");
    const link = event.target.closest("a[data-candidate]") ?? row?.querySelector("a[data-candidate]");
    if (!link || !window.getSelection().isCollapsed) return;
    event.preventDefault();
    show(new URL(link.href).pathname.split("/").pop());
  });
}
