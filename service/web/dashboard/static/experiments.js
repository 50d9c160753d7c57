// The list of experiments: refreshes every few seconds while its tab is visible.

import { followButtons } from "./actions.js";
import { mark, refresh } from "./live.js";

const PAUSE = 3000;

async function look() {
  if (document.visibilityState !== "visible") return;
  try {
    await refresh();
    mark("live");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // fetch's word for a server that cannot be reached
    mark("lost");
  }
}

async function keepLooking() {
  await look();
  setTimeout(keepLooking, PAUSE);
}

/** Shows the list with another choice, kept in the address. */
function choose() {
  const form = document.getElementById("list-choices");
  const url = new URL(window.location.href);
  url.search = "";
  for (const [name, value] of new FormData(form)) if (value) url.searchParams.set(name, value);
  window.history.replaceState(null, "", url);
  look();
}

const form = document.getElementById("list-choices");
form?.addEventListener("input", choose);
form?.addEventListener("submit", (event) => { event.preventDefault(); choose(); });
document.addEventListener("visibilitychange", look);
followButtons(look);
keepLooking();
