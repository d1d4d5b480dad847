"use strict";
// Tables that can be sorted and searched, and commands that can be copied; without scripts all of it stands to be read.
(() => {
  const made = (tag, more, ...inside) => {
    const node = Object.assign(document.createElement(tag), more);
    node.append(...inside);
    return node;
  };

  /** What is sorted together: the row groups of a table that has several, else the rows of its one group. */
  const groups = table => (table.tBodies.length > 1 ? [...table.tBodies] : [...table.tBodies[0].rows]);
  const first = group => group.rows?.[0] ?? group;

  function key(group, column) {
    const cell = first(group).cells[column];
    return cell.dataset.value !== undefined
      ? Number(cell.dataset.value)
      : cell.classList.contains("missing")
        ? null
        : cell.textContent.trim();
  }

  function sort(table, column, isUp) {
    const inOrder = groups(table).map(group => ({ group, key: key(group, column) }));
    inOrder.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null); // what is missing stays last
      const order =
        typeof a.key === "number" && typeof b.key === "number"
          ? a.key - b.key
          : String(a.key).localeCompare(String(b.key), "en", { numeric: true });
      return isUp ? order : -order;
    });
    const holder = table.tBodies.length > 1 ? table : table.tBodies[0];
    holder.append(...inOrder.map(each => each.group));
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = made("button", { type: "button" }, ...head.childNodes);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const isUp = head.getAttribute("aria-sort") !== "ascending";
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
        sort(table, column, isUp);
      });
    });
  }

  function searchable(table) {
    const what = table.dataset.search,
      all = groups(table);
    if (all.length < 6) return;
    const input = made("input", { type: "search" }),
      count = made("span", { textContent: `${all.length} ${what}` });
    count.setAttribute("role", "status");
    const bar = made("div", { className: "find" }, made("label", {}, `Search ${what} `, input), count);
    table.closest(".scroll").before(bar);
    const texts = all.map(group => group.textContent.toLowerCase());
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      all.forEach((group, place) => {
        group.hidden = !words.every(word => texts[place].includes(word));
        shown += !group.hidden;
      });
      count.textContent = words.length ? `${shown} of ${all.length} ${what}` : `${all.length} ${what}`;
    });
  }

  for (const table of document.querySelectorAll("table[data-search]")) searchable(table);
  for (const table of document.querySelectorAll("table[data-sortable]")) sortable(table);
  for (const code of document.querySelectorAll(".commands code")) {
    const button = made("button", { type: "button", textContent: "Copy" });
    button.setAttribute("aria-label", `Copy: ${code.textContent}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code); // no clipboard here: it is selected, so that it can be copied by hand
        button.textContent = "Selected";
      }
    });
    code.after(button);
  }
})();
