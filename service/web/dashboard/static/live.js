// Keeps a page up to date: the server renders it, this swaps the parts that changed.

const KINDS = [
  "message", "experiment.created", "experiment.status", "candidate.settled",
  "generation.told", "candidate.examined", "examination.done", "export.status", "candidate.reevaluated",
  "examination.foreseen", "experiment.extended", "workers.away", "workers.back",
];
const GAP = 500; // milliseconds between two refreshes: at most two a second,
const EASE = 3; // and at least thrice as long as the last one took: the machine has better things to do
const RETRY = 5000;
const AFTERMATH = 10000; // an experiment that ended may be resumed, or exported from

const WATCHED = 1000; // while an export of such an experiment is under way: its events come no sooner

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Shows whether the page is live. */
export function mark(state) {
  const words = { live: "live", lost: "connection lost, trying again", ended: "ended", waiting: "connecting" };
  const element = document.getElementById("live");
  if (element === null || element.dataset.state === state) return;
  element.dataset.state = state;
  document.getElementById("live-text").textContent = words[state];
}

/** Returns a function that asks for a run of the task; runs never overlap and keep their distance. */
export function coalesced(task) {
  let wanted = false;
  let busy = false;
  async function work() {
    busy = true;
    while (wanted) {
      wanted = false;
      const started = performance.now();
      try {
        await task();
      } catch (error) {
        if (!(error instanceof TypeError) && error.name !== "AbortError") throw error;
        mark("lost"); // the server is away: the next event or visit tries again
      } finally {
        await sleep(Math.max(GAP, EASE * (performance.now() - started)));
      }
    }
    busy = false;
  }
  return () => {
    wanted = true;
    if (!busy) work();
  };
}

/** Calls `changed` whenever the server tells of an event that came after the given one. */
export function follow(url, after, changed) {
  const source = new EventSource(`${url}?after=${after}`);
  let last = after;
  const again = (wait) => {
    source.close();
    setTimeout(() => follow(url, last, changed), wait);
  };
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => {
      last = event.lastEventId || last;
      mark("live");
      changed();
    });
  }
  source.addEventListener("open", () => {
    if (document.getElementById("live").dataset.state !== "ended") mark("live");
    changed(); // what happened before the stream was open
  });
  source.addEventListener("stream.ended", () => {
    mark("ended");
    again(AFTERMATH);
  });
  source.addEventListener("error", () => {
    mark("lost");
    if (source.readyState === EventSource.CLOSED) again(RETRY); // else the browser itself comes back
  });
}

/** Fetches the page as it would be now and swaps the parts marked `data-live`. */
export async function refresh(url = window.location.href) {
  const response = await fetch(url, { headers: { Accept: "text/html" } });
  if (!response.ok) throw new TypeError(`the server answered ${response.status}`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(old.id);
    if (next !== null) keepOpen(old, next);
    if (next !== null && !old.isEqualNode(next) && !isBeingUsed(old)) swap(old, next);
  }
  for (const plot of document.querySelectorAll("[data-figure]")) {
    const next = fresh.getElementById(plot.id);
    if (next !== null) plot.dataset.figure = next.dataset.figure;
  }
  watch(url);
}

let watching = null;

/** Refreshes soon again where the stream has ended and something is under way. */
function watch(url) {
  const ended = document.getElementById("live")?.dataset.state === "ended";
  if (!ended || watching !== null || document.querySelector("#exports progress") === null) return;
  watching = setTimeout(() => {
    watching = null;
    refresh(url).catch(() => mark("lost"));
  }, WATCHED);
}

/** Leaves open what the reader opened. */
function keepOpen(old, next) {
  const fresh = [...next.querySelectorAll("details")];
  for (const [place, part] of [...old.querySelectorAll("details")].entries()) {
    const same = fresh[place];
    if (same?.querySelector("summary")?.textContent === part.querySelector("summary")?.textContent) same.open = part.open;
  }
}

const FIELDS = "textarea, input:not([type=checkbox], [type=radio], [type=button], [type=submit])";

/** Says whether the reader fills in a part, or selects text in it, which a swap would undo. */
function isBeingUsed(element) {
  const active = document.activeElement;
  if (active !== null && active.matches(FIELDS) && element.contains(active)) return true;
  if (element.open || element.querySelector("input[name=e]:checked, details.menu[open]") !== null) return true;
  const selection = window.getSelection();
  return selection !== null && !selection.isCollapsed && element.contains(selection.anchorNode);
}

function swap(old, next) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const href = focused?.getAttribute("href");
  const scrolled = [...old.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
  old.replaceWith(document.adoptNode(next));
  next.querySelectorAll(".scroll").forEach((part, i) => { part.scrollLeft = scrolled[i] ?? 0; });
  if (focused === null) return;
  const again = (focused.id && document.getElementById(focused.id))
    || [...next.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === href);
  again?.focus({ preventScroll: true });
}
