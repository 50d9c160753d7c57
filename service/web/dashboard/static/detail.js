// Shows a candidate over the experiment's page; without scripts its link opens a page of its own.

const dialog = () => document.getElementById("detail");

/** Opens the page of a candidate in the dialog. */
export async function show(url) {
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
  close.addEventListener("click", () => dialog().close());
  dialog().replaceChildren(close, document.adoptNode(page.getElementById("candidate")));
  if (!dialog().open) dialog().showModal();
  dialog().scrollTop = 0;
}

/** Listens for clicks on links to candidates, and on their rows. */
export function followCandidates() {
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target === dialog()) dialog().close(); // the backdrop
    const row = event.target.closest("tr[data-number]");
    const link = event.target.closest("a[data-candidate]") ?? row?.querySelector("a[data-candidate]");
    if (!link || !window.getSelection().isCollapsed) return;
    event.preventDefault();
    show(link.href);
  });
}
