// Sorts tables marked `data-sortable` by the values that their rows carry.

let order = null; // {key, down}: kept while the table's rows are swapped

const value = (row, key) => {
  const text = row.dataset[key];
  if (text === undefined || text === "") return null;
  return Number.isNaN(Number(text)) ? text : Number(text);
};

function compare(a, b) {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1; // rows without a value come last
  const less = typeof a === "number" && typeof b === "number" ? a < b : String(a) < String(b);
  return a === b ? 0 : less ? -1 : 1;
}

/** Puts the rows into the chosen order; without one they stay as the server sent them. */
export function sortAgain() {
  const table = document.querySelector("table[data-sortable]");
  if (table === null || order === null) return;
  for (const button of table.querySelectorAll("button.sort")) {
    const head = button.closest("th");
    if (button.dataset.key === order.key) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  const body = table.tBodies[0];
  const sign = order.down ? -1 : 1;
  const rows = [...body.rows].map((row) => ({ row, value: value(row, order.key) }));
  rows.sort((a, b) => (a.value === null || b.value === null ? 1 : sign) * compare(a.value, b.value));
  body.append(...rows.map((each) => each.row));
}

/** Listens for clicks on the heads of columns. */
export function followHeads() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.sort");
    if (button === null) return;
    const key = button.dataset.key;
    const down = order?.key === key ? !order.down : key !== "label" && key !== "status";
    order = { key, down };
    sortAgain();
  });
}
