"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const UNITS = { ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1, B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, k: 1e3, M: 1e6, G: 1e9 };
  const FIGURE = /^<?([+-]?)([\d,]*\.?\d+(?:e[+-]?\d+)?) ?([nµm]?s|[kMGT]?B|[kMG])?(?=$|[ %±x+])/;

  // A cell as a number: by its rank, or by its figure and unit; NaN where it holds other text.
  const number = (cell) => {
    if (cell.dataset.rank) return Number(cell.dataset.rank);
    const found = FIGURE.exec(cell.textContent.trim());
    if (!found) return NaN;
    const size = Number(found[2].replaceAll(",", "")) * (UNITS[found[3]] ?? 1);
    return found[1] === "-" ? -size : size;
  };

  const sort = (header) => {
    const table = header.closest("table");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [row, row.cells[header.cellIndex]]);
    const filled = rows.filter(([, cell]) => cell.textContent.trim());
    const numeric = header.cellIndex > 0 && filled.length > 0 && filled.every(([, cell]) => !Number.isNaN(number(cell)));
    const before = header.getAttribute("aria-sort");
    const down = before ? before === "ascending" : numeric;
    const keys = new Map(rows.map(([row, cell]) => [row, numeric ? number(cell) : cell.textContent.trim()]));
    const ordered = filled.map(([row]) => row).sort((a, b) => {
      const [one, other] = down ? [keys.get(b), keys.get(a)] : [keys.get(a), keys.get(b)];
      return numeric ? one - other : one.localeCompare(other, undefined, { numeric: true });
    });
    // What has no figure stays below, whatever the direction.
    body.append(...ordered, ...rows.filter(([, cell]) => !cell.textContent.trim()).map(([row]) => row));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
  };

  for (const table of all("table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    for (const header of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(header.firstChild);
      button.addEventListener("click", () => sort(header));
      header.prepend(button);
    }
  }

  const filters = document.querySelector(".filters");
  if (!filters) return;
  const search = filters.querySelector("input");
  const shown = filters.querySelector("[role=status]");
  const rows = all("[data-outcomes]").map((element) => {
    const outcomes = element.dataset.outcomes.split(",").filter(Boolean);
    const test = element.closest("article")?.dataset.words ?? "";
    const words = [element.textContent, element.dataset.words ?? "", test, ...outcomes].join(" ").toLowerCase();
    return { element, outcomes, words };
  });
  const present = new Set(rows.flatMap((row) => row.outcomes));
  const toggles = all("button[data-outcome]", filters);
  for (const toggle of toggles) toggle.hidden = !present.has(toggle.dataset.outcome);

  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = toggles.filter((one) => one.getAttribute("aria-pressed") === "true").map((one) => one.dataset.outcome);
    for (const { element, outcomes, words } of rows) {
      const outcome = !pressed.length || pressed.some((one) => outcomes.includes(one));
      element.hidden = !(outcome && wanted.every((word) => words.includes(word)));
    }
    for (const test of all("article.test")) test.hidden = !test.querySelector("[data-outcomes]:not([hidden])");
    const tests = all("tr[data-test]");
    const left = tests.filter((row) => !row.hidden).length;
    shown.textContent = wanted.length || pressed.length ? `${left} of ${tests.length} tests` : "";
  };
  search.addEventListener("input", filter);
  for (const toggle of toggles) {
    toggle.addEventListener("click", () => {
      toggle.setAttribute("aria-pressed", String(toggle.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  }
  filters.hidden = false;
  // Going back to a page restores what was searched for.
  if (search.value) filter();
})();
