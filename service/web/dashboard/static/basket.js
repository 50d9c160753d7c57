// The basket: candidates that the reader picked, kept in the address as `sel=158,234`.

const MOST = 8;

/** Returns the numbers in the basket. */
export function basket() {
  const text = new URL(window.location.href).searchParams.get("sel") ?? "";
  return text.split(",").filter((part) => /^\d{1,9}$/.test(part));
}

function write(numbers) {
  const url = new URL(window.location.href);
  if (numbers.length > 0) url.searchParams.set("sel", numbers.join(","));
  else url.searchParams.delete("sel");
  window.history.replaceState(window.history.state, "", String(url).replaceAll("%2C", ","));
  showBasket();
}

/** Puts a candidate into the basket, or takes it out. */
export function toggle(number) {
  const numbers = basket();
  write(numbers.includes(number) ? numbers.filter((one) => one !== number) : [...numbers, number].slice(-MOST));
}

/** Puts these candidates into the basket, in the place of what was there. */
export function pick(numbers) {
  write(numbers.slice(0, MOST).map(String));
}

/** Makes checkboxes, the bar and the rail's links agree with the address. */
export function showBasket() {
  const numbers = basket();
  for (const box of document.querySelectorAll("input[data-select]")) box.checked = numbers.includes(box.dataset.select);
  for (const link of document.querySelectorAll("a[data-page]")) {
    const url = new URL(link.href);
    if (numbers.length > 0) url.search = `?sel=${numbers.join(",")}`;
    else url.search = "";
    link.href = url;
  }
  const bar = document.getElementById("basket");
  if (bar === null) return;
  bar.hidden = numbers.length === 0;
  bar.querySelector("[data-count]").textContent = numbers.map((number) => `#${number}`).join(", ");
}

/** Listens for checkboxes and for the bar's button. */
export function followBasket() {
  document.addEventListener("change", (event) => {
    const box = event.target.closest("input[data-select]");
    if (box !== null) toggle(box.dataset.select);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("button[data-empty-basket]")) write([]);
  });
  showBasket();
}
