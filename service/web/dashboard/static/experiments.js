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

document.addEventListener("visibilitychange", look);
followButtons(look);
keepLooking();
