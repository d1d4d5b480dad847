"use strict";
// What all charts of the report have in common: the data, numbers in words, scales, axes, labels. The files of the
// charts are joined to one script, this one first.
const data = JSON.parse(document.getElementById("data").textContent);
const MOST_LABELS = 14, MOST_LINES = 8;
const COLOURS = { chosen: "var(--mark)", kept: "var(--other)", left: "var(--other)", taken: "var(--open)" };
const TEXT = { fontSize: "11.5px", fontFamily: "inherit" };
const SOFT = { fill: "var(--soft)", fontSize: 11 };
const HALO = { stroke: "var(--card)", strokeWidth: 4, paintOrder: "stroke" };

const fixed = (value, digits) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
const ms = value => fixed(value, value >= 100 ? 0 : value >= 10 ? 1 : 2);
const colour = each => COLOURS[each.look];

/** Round numbers from low to high, about as many as asked for. */
function ticks(low, high, count, isLog) {
  if (isLog) {
    const all = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const mark of high / low < 12 ? [1, 1.5, 2, 3, 4, 5, 7] : high / low < 300 ? [1, 2, 5] : [1])
        all.push(mark * 10 ** power);
    return all.filter(each => each >= low && each <= high).map(each => Number(each.toPrecision(6)));
  }
  const rough = (high - low) / count,
    unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(each => each * unit).find(each => each >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-6; at++)
    found.push(Number((at * step).toPrecision(9)));
  return found;
}

/** A scale that holds values with some air; logarithmic where they are far apart. */
function spread(values, wish) {
  const low = Math.min(...values),
    high = Math.max(...values);
  const isLog = wish === "log" || (wish !== "linear" && high / low > 2.5);
  const air = Math.max((high - low) * 0.08, high * 1e-3);
  return isLog
    ? { type: "log", domain: [low / 1.2, high * 1.25] }
    : { type: "linear", domain: [Math.max(0, low - air), high + air] };
}

const axisX = (scale, label) => [
  Plot.gridX(ticks(...scale.domain, 6, scale.type === "log"), { stroke: "var(--grid)", strokeOpacity: 1 }),
  Plot.axisX(ticks(...scale.domain, 6, scale.type === "log"), {
    label,
    labelAnchor: "center",
    labelArrow: "none",
    tickSize: 0,
    tickFormat: each => String(each),
    color: "var(--soft)",
  }),
];
const axisY = (marks, label) => [
  Plot.gridY(marks, { stroke: "var(--grid)", strokeOpacity: 1 }),
  Plot.axisY(marks, {
    label,
    labelAnchor: "center",
    labelArrow: "none",
    tickSize: 0,
    tickFormat: each => String(each),
    color: "var(--soft)",
  }),
];
const tip = (shown, words, at) =>
  Plot.tip(
    shown,
    Plot.pointer({ ...at, title: words, fill: "var(--card)", stroke: "var(--other)", fontSize: 12, maxRadius: 60 }),
  );

const around = (x, y, reach) => ({ left: x - reach, top: y - reach, right: x + reach, bottom: y + reach });

/** Labels beside points so that they cover neither each other nor the points: those that come first choose first. */
function placed(wanted, drawn, width, height, margin) {
  const taken = [...wanted.map(each => around(each.x, each.y, 8)), ...drawn];
  const overlap = (a, b) =>
    Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
    Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
  const outside = box =>
    Math.max(0, margin.left - box.left) + Math.max(0, box.right - width) + Math.max(0, margin.top - box.top) +
    Math.max(0, box.bottom - height + margin.bottom);
  return wanted.map(each => {
    const found = spotsAround(each.text.length * 7 + 4, 15).map(({ left, middle, wide, high }, place) => {
      const [x, y] = [each.x + left, each.y + middle];
      const box = { left: x, top: y - high / 2, right: x + wide, bottom: y + high / 2 };
      return { box, cost: place + 8 * outside(box) + taken.reduce((sum, other) => sum + overlap(box, other), 0) };
    });
    const { box } = found.reduce((a, b) => (b.cost < a.cost ? b : a));
    taken.push(box);
    return { ...each, box, dx: box.left - each.x, dy: (box.top + box.bottom) / 2 - each.y };
  });
}

/** Where a label may stand around its point, the best places first: near rather than far, at the right rather than left. */
function spotsAround(wide, high) {
  const spots = [];
  for (const gap of [10, 22, 38, 58]) {
    const above = -gap * 0.5 - 4, below = gap * 0.5 + 4, beside = -gap - wide;
    const places = [[gap, above], [gap, below], [beside, above], [beside, below], [gap, 0], [beside, 0]];
    places.push([-wide / 2, -gap - 6], [-wide / 2, gap + 6]);
    spots.push(...places.map(([left, middle]) => ({ left, middle, wide, high })));
  }
  return spots;
}

/** A thin line from a point to its label, where that is far away. */
function lead(svg, { x, y, box }) {
  const [toX, toY] = [Math.min(Math.max(x, box.left), box.right), Math.min(Math.max(y, box.top), box.bottom)];
  if (Math.hypot(toX - x, toY - y) < 20) return;
  const line = document.createElementNS(svg.namespaceURI, "line");
  const look = { x1: x, y1: y, x2: toX, y2: toY, stroke: "var(--other)", "stroke-width": 0.8 };
  for (const [name, value] of Object.entries(look)) line.setAttribute(name, value);
  svg.prepend(line);
}

/** The size of a plot, as Plot takes it. */
const sized = (width, height, margin) => ({
  width, height, style: TEXT, marginLeft: margin.left, marginRight: margin.right, marginTop: margin.top,
  marginBottom: margin.bottom,
});

const shortened = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

/** A label at the place that was found for it. */
const labelled = ({ each, text, dx, dy }, at) =>
  Plot.text([each], {
    ...at, text: () => text, dx, dy, textAnchor: "start", fontWeight: 600, fontSize: 12,
    fill: each.look === "chosen" ? "var(--mark)" : "var(--ink)", ...HALO,
  });
