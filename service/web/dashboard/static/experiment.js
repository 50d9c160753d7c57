// A page of one experiment: live parts, plots, table, buttons, basket, and the candidate's drawer.

import { followButtons } from "./actions.js";
import { followBasket, showBasket } from "./basket.js";
import { followDescription } from "./description.js";
import { followCandidates, show, sync } from "./detail.js";
import { followExtension } from "./extension.js";
import { followKeys } from "./keys.js";
import { coalesced, follow, refresh } from "./live.js";
import { drawAll, followTheme, onPoint } from "./plots.js";

const page = document.getElementById("experiment");

const redraw = coalesced(drawAll); // pictures take longer than words, and words need not wait for them
const update = coalesced(async () => {
  await refresh();
  showBasket();
  redraw();
  document.dispatchEvent(new Event("experiment.changed"));
});

/** Shows the page with another query, without loading it anew; the basket stays. */
function choose(query) {
  const url = new URL(window.location.href);
  const kept = url.searchParams.get("sel");
  url.search = query;
  if (kept !== null && !url.searchParams.has("sel")) url.searchParams.set("sel", kept);
  window.history.pushState(null, "", String(url).replaceAll("%2C", ","));
  update();
}

document.addEventListener("submit", (event) => {
  if (event.target.closest("#choices") !== null) event.preventDefault(); // its fields tell of each change
  if (event.target.closest("#jump") === null) return;
  event.preventDefault();
  const number = new FormData(event.target).get("c");
  if (number) show(number);
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("#choices");
  if (form === null) return;
  const query = new URLSearchParams(window.location.search);
  const given = new FormData(form);
  for (const name of new Set(given.keys())) query.set(name, given.getAll(name).filter(Boolean).join(","));
  for (const name of [...query.keys()]) if (query.get(name) === "" && name !== "cols") query.delete(name);
  query.delete("page"); // another choice begins at its first row
  choose(query.toString());
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view]");
  if (link === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  choose(new URL(link.href).search);
});

window.addEventListener("popstate", () => {
  sync();
  update();
});
followButtons(update);
followExtension(update);
followDescription(update);
followCandidates();
followBasket();
followTheme(update);
followKeys();
document.addEventListener("export.asked", update);
sync();

document.querySelector(".rail a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
onPoint(show);
redraw();
follow(page.dataset.events, page.dataset.after, update);
