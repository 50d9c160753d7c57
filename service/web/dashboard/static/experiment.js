// The page of one experiment: live parts, plots, table, buttons, and the candidate's detail.

import { followButtons } from "./actions.js";
import { followCandidates, show } from "./detail.js";
import { followExtension } from "./extension.js";
import { coalesced, follow, refresh } from "./live.js";
import { drawAll, followTheme, onPoint } from "./plots.js";

const page = document.getElementById("experiment");

const update = coalesced(async () => {
  await refresh();
  await drawAll();
});

/** Shows the page with another query, without loading it anew. */
function choose(query) {
  const url = new URL(window.location.href);
  url.search = query;
  window.history.pushState(null, "", url);
  update();
}

document.addEventListener("change", (event) => {
  const form = event.target.closest("#choices");
  if (form === null) return;
  const query = new URLSearchParams(window.location.search);
  for (const [name, value] of new FormData(form)) query.set(name, value);
  choose(query.toString());
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view]");
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  choose(new URL(link.href).search);
});

window.addEventListener("popstate", update);
followButtons(update);
followExtension(update);
followCandidates();
followTheme(update);

await drawAll();
onPoint((number) => show(page.dataset.candidates + number));
follow(page.dataset.events, page.dataset.after, update);
