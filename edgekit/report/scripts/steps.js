const BETTER = "var(--good)", WORSE = "var(--bad)", NEUTRAL = "var(--other)";

/** What the two panels of steps show: which numbers, and what a change of them is worth. */
const PANELS = [
  {
    key: "p50", unit: " ms", say: ms, limit: null, fromZero: true,
    title: "p50 latency, ms · shorter is faster",
    judge: (now, before) => (now < before ? BETTER : WORSE),
  },
  {
    key: "accuracy", unit: " %", say: value => fixed(value, 2), limit: data.accuracy_limit, fromZero: false,
    title: `${data.y_title || "accuracy"}, %${data.accuracy_limit === null ? "" : " · dashed: the budget"}`,
    judge: (now, before) =>
      now >= before ? BETTER : data.accuracy_limit !== null && now < data.accuracy_limit ? WORSE : NEUTRAL,
  },
];

/** The bars of a panel: each from where its step began to what it came to, at last what is in the bundle. */
function stepRows({ key }) {
  const known = data.steps.filter(each => each[key] !== null);
  const rows = known.map(each => ({ ...each, label: each.name, value: each[key], from: each[`${key}_start`] }));
  const last = known.find(each => each.outcome === "chosen");
  if (last) rows.push({ ...last, label: "in the bundle", value: last[key], from: null, outcome: "bundle" });
  return rows;
}

/** The range of a panel, with room for the numbers at the right. */
function stepDomain(rows, { fromZero, limit }) {
  const values = rows.flatMap(each => [each.value, each.from ?? each.value]).concat(limit ?? []);
  const low = Math.min(...values), high = Math.max(...values), air = Math.max((high - low) * 0.12, 0.1);
  return fromZero ? [0, high * 1.22] : [Math.max(0, low - air), high + 2.5 * air];
}

function stepColour(each, { judge }) {
  if (each.outcome === "bundle") return "var(--mark)";
  if (each.outcome === "taken back") return "var(--open)";
  return each.from === null ? NEUTRAL : judge(each.value, each.from);
}

function stepWords(each, { say, unit }) {
  const from = each.from === null ? "" : `, from ${say(each.from)}${unit} of ${each.start}`;
  return `${each.label}: ${say(each.value)}${unit}${from}${each.outcome === "bundle" ? "" : ` (${each.outcome})`}`;
}

function stepMarks(rows, domain, panel) {
  const tone = each => stepColour(each, panel), rest = each => each.from ?? (panel.fromZero ? 0 : each.value);
  const right = each => Math.max(each.value, each.from ?? each.value);
  const isBack = each => each.outcome === "taken back";
  const dashed = { stroke: "var(--open)", strokeDasharray: "5 4" };
  return [
    ...axisX({ type: "linear", domain }, panel.title),
    Plot.axisY({ label: null, tickSize: 0, color: "var(--ink)", fontSize: 12, tickFormat: each => shortened(each, 20) }),
    Plot.ruleX(panel.limit === null ? [] : [panel.limit], dashed),
    Plot.barX(rows, {
      x1: each => Math.min(each.value, rest(each)), x2: right, y: "label", stroke: tone, strokeWidth: 1.4,
      fill: each => (isBack(each) ? "none" : tone(each)), fillOpacity: 0.75,
    }),
    Plot.tickX(rows, { x: "value", y: "label", stroke: tone, strokeWidth: 3 }),
    Plot.text(rows, {
      x: right, y: "label", dx: 7, text: each => panel.say(each.value) + (isBack(each) ? ", taken back" : ""),
      textAnchor: "start", fill: "var(--ink)", fontSize: 12, ...HALO,
    }),
    tip(rows, each => stepWords(each, panel), { x: "value", y: "label" }),
  ];
}

/** One panel; null where nothing of it was measured. */
function stepPanel(panel, width) {
  const rows = stepRows(panel);
  if (!rows.length) return null;
  const domain = stepDomain(rows, panel), longest = Math.max(...rows.map(each => each.label.length));
  const margin = { left: Math.min(150, 14 + 6.6 * longest), right: 12, top: 6, bottom: 38 };
  const svg = Plot.plot({
    ...sized(width, 44 + 34 * rows.length, margin),
    x: { domain, axis: null },
    y: { type: "band", domain: rows.map(each => each.label), axis: null, padding: 0.3 },
    marks: stepMarks(rows, domain, panel),
  });
  const up = svg.scale("y"), across = svg.scale("x").apply;
  const spot = each => [across(each.value), up.apply(each.label) + up.bandwidth / 2];
  return { svg, items: rows, words: each => stepWords(each, panel), spot };
}

/** From the baseline to the bundle: a bar for what each step changed. */
function waterfall(width) {
  const wide = width >= 680 ? (width - 16) / 2 : width;
  return PANELS.map(panel => stepPanel(panel, wide)).filter(Boolean);
}
