// Draws the charts into the page; what stands there without scripts stays where nothing is drawn.
const HINT = "Point at it, or go to it with Tab and through it with the arrow keys.";
const choose = (name, text, ...options) => ({ name, text, options });
const scaleOf = choose("scale", "latency axis", ["", "by range"], ["log", "logarithmic"], ["linear", "linear"]);
const CHARTS = {
  front: {
    draw: front,
    about: "Accuracy against latency",
    tools: [
      scaleOf,
      ...(data.points.some(each => each.look === "taken")
        ? [{ name: "taken", text: "what was taken back", on: true }]
        : []),
    ],
  },
  steps: { draw: waterfall, about: "What each step changed", tools: [] },
  distribution: {
    draw: distribution,
    about: "Distribution of latencies",
    tools: [
      scaleOf,
      ...(data.distributions.length > MOST_LINES ? [{ name: "all", text: "all variants", on: false }] : []),
    ],
  },
};

const made = (tag, more, ...inside) => {
  const node = Object.assign(document.createElement(tag), more);
  node.append(...inside);
  return node;
};

/** A drawing that the keyboard reaches: arrows go from point to point, what is pointed at is said below. */
function reachable(drawing, about, hint) {
  const { svg, items, words, spot } = drawing,
    readout = made("p", { className: "readout", textContent: hint });
  readout.setAttribute("aria-live", "polite");
  svg.setAttribute("aria-hidden", "true");
  const holder = made("div", { tabIndex: 0 }, svg);
  holder.setAttribute("role", "group");
  holder.setAttribute(
    "aria-label",
    `${about}: a chart of ${items.length} points; arrow keys go from one to the next. The numbers stand in the tables.`,
  );
  svg.addEventListener("input", () => {
    readout.textContent = svg.value ? words(svg.value).replaceAll("\n", "; ") : hint;
  });
  let place = -1;
  const send = (type, [x, y]) => {
    const box = svg.getBoundingClientRect(),
      [, , wide, high] = svg.getAttribute("viewBox").split(" ").map(Number);
    svg.dispatchEvent(
      new PointerEvent(type, {
        clientX: box.left + (x * box.width) / wide,
        clientY: box.top + (y * box.height) / high,
        pointerType: "mouse",
      }),
    );
  };
  holder.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") send("pointerleave", [0, 0]);
    if (!step) return;
    event.preventDefault();
    place = (place + step + items.length + (place < 0 && step < 0 ? 1 : 0)) % items.length;
    send("pointermove", spot(items[place]));
    readout.textContent = words(items[place]).replaceAll("\n", "; ");
  });
  holder.addEventListener("blur", () => send("pointerleave", [0, 0]));
  return made("div", {}, holder, readout);
}

function begin(figure, hint) {
  const { draw, about, tools } = CHARTS[figure.dataset.chart],
    choice = {};
  const drawn = made("div", { className: "drawn" }),
    bar = made("div", { className: "tools" });
  for (const tool of tools) {
    const input = tool.options
      ? made("select", {}, ...tool.options.map(([value, text]) => made("option", { value, textContent: text })))
      : made("input", { type: "checkbox", checked: tool.on });
    choice[tool.name] = tool.options ? "" : tool.on;
    input.addEventListener("change", () => {
      choice[tool.name] = tool.options ? input.value : input.checked;
      show(true);
    });
    bar.append(tool.options ? made("label", {}, tool.text, input) : made("label", {}, input, tool.text));
  }
  let width = 0;
  const show = anew => {
    const now = Math.floor(drawn.clientWidth);
    if (!now || (!anew && Math.abs(now - width) < 8)) return;
    width = now;
    const drawings = draw(width, choice);
    drawn.className = drawings.length > 1 ? "drawn two" : "drawn";
    drawn.replaceChildren(...drawings.map(each => reachable(each, about, hint)));
  };
  if (tools.length) figure.prepend(bar, drawn);
  else figure.prepend(drawn);
  show(true);
  for (const still of figure.querySelectorAll(".still")) still.hidden = true;
  new ResizeObserver(() => {
    if (!matchMedia("print").matches) show(false);
  }).observe(drawn);
}

document.querySelectorAll("figure[data-chart]").forEach((figure, place) => begin(figure, place ? "" : HINT));
