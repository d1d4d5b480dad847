"use strict";
// Draws the charts of the report from its data; what stands in the page without scripts stays where nothing is drawn.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const HINT = "Point at it, or go to it with Tab and through it with the arrow keys.";
  const MOST_LABELS = 14, MOST_LINES = 8;
  const COLOURS = { chosen: "var(--mark)", kept: "var(--other)", left: "var(--other)", taken: "var(--open)" };
  const TEXT = { fontSize: "11.5px", fontFamily: "inherit" };
  const SOFT = { fill: "var(--soft)", fontSize: 11 };
  const HALO = { stroke: "var(--card)", strokeWidth: 4, paintOrder: "stroke" };

  const fixed = (value, digits) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
  const ms = value => fixed(value, value >= 100 ? 0 : value >= 10 ? 1 : 2);
  const colour = each => COLOURS[each.look];

  /** Round numbers from low to high, about as many as asked for. */
  function ticks(low, high, count, isLog) {
    if (isLog) {
      const all = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
        for (const mark of high / low < 12 ? [1, 1.5, 2, 3, 4, 5, 7] : high / low < 300 ? [1, 2, 5] : [1]) all.push(mark * 10 ** power);
      return all.filter(each => each >= low && each <= high).map(each => Number(each.toPrecision(6)));
    }
    const rough = (high - low) / count, unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map(each => each * unit).find(each => each >= rough * 0.999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-6; at++) found.push(Number((at * step).toPrecision(9)));
    return found;
  }

  /** A scale that holds values with some air; logarithmic where they are far apart. */
  function spread(values, wish) {
    const low = Math.min(...values), high = Math.max(...values);
    const isLog = wish === "log" || (wish !== "linear" && high / low > 2.5);
    const air = Math.max((high - low) * 0.08, high * 1e-3);
    return isLog ? { type: "log", domain: [low / 1.2, high * 1.25] } : { type: "linear", domain: [Math.max(0, low - air), high + air] };
  }

  const axisX = (scale, label) => [
    Plot.gridX(ticks(...scale.domain, 6, scale.type === "log"), { stroke: "var(--grid)", strokeOpacity: 1 }),
    Plot.axisX(ticks(...scale.domain, 6, scale.type === "log"), { label, labelAnchor: "center", labelArrow: "none", tickSize: 0, tickFormat: each => String(each), color: "var(--soft)" }),
  ];
  const axisY = (marks, label) => [
    Plot.gridY(marks, { stroke: "var(--grid)", strokeOpacity: 1 }),
    Plot.axisY(marks, { label, labelAnchor: "center", labelArrow: "none", tickSize: 0, tickFormat: each => String(each), color: "var(--soft)" }),
  ];
  const tip = (shown, words, at) => Plot.tip(shown, Plot.pointer({ ...at, title: words, fill: "var(--card)", stroke: "var(--other)", fontSize: 12, maxRadius: 60 }));

  const around = (x, y, reach) => ({ left: x - reach, top: y - reach, right: x + reach, bottom: y + reach });

  /** Labels beside points so that they cover neither each other nor the points: those that come first choose first. */
  function placed(wanted, drawn, width, height, margin) {
    const taken = [...wanted.map(each => around(each.x, each.y, 8)), ...drawn];
    const overlap = (a, b) => Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
    return wanted.map(each => {
      const wide = each.text.length * 7 + 4, high = 15, found = [];
      for (const gap of [10, 22, 38, 58])
        for (const [dx, dy] of [[gap, -gap * 0.5 - 4], [gap, gap * 0.5 + 4], [-gap - wide, -gap * 0.5 - 4], [-gap - wide, gap * 0.5 + 4], [gap, 0], [-gap - wide, 0], [-wide / 2, -gap - 6], [-wide / 2, gap + 6]]) {
          const box = { left: each.x + dx, top: each.y + dy - high / 2, right: each.x + dx + wide, bottom: each.y + dy + high / 2 };
          const outside = Math.max(0, margin.left - box.left) + Math.max(0, box.right - width) + Math.max(0, margin.top - box.top) + Math.max(0, box.bottom - height + margin.bottom);
          found.push({ box, cost: found.length + 8 * outside + taken.reduce((sum, other) => sum + overlap(box, other), 0) });
        }
      const best = found.reduce((a, b) => (b.cost < a.cost ? b : a));
      taken.push(best.box);
      return { ...each, box: best.box, dx: best.box.left - each.x, dy: (best.box.top + best.box.bottom) / 2 - each.y };
    });
  }

  /** A thin line from a point to its label, where that is far away. */
  function lead(svg, { x, y, box }) {
    const [toX, toY] = [Math.min(Math.max(x, box.left), box.right), Math.min(Math.max(y, box.top), box.bottom)];
    if (Math.hypot(toX - x, toY - y) < 20) return;
    const line = document.createElementNS(svg.namespaceURI, "line");
    for (const [name, value] of Object.entries({ x1: x, y1: y, x2: toX, y2: toY, stroke: "var(--other)", "stroke-width": 0.8 })) line.setAttribute(name, value);
    svg.prepend(line);
  }

  /** Accuracy against latency, with the front of those that no other variant beats. */
  function front(width, choice) {
    const shown = data.points.filter(each => choice.taken || each.look !== "taken");
    const flat = !data.y_title, words = each =>
      `${each.name}${each.look === "chosen" ? " (chosen)" : each.look === "taken" ? " (taken back)" : ""}\np50 ${ms(each.p50)} ms, ${ms(each.p50_ends[0])} to ${ms(each.p50_ends[1])}\n` +
      (each.accuracy === null ? "accuracy not measured" : `${fixed(each.accuracy, 2)} % ${data.y_name}` + (each.accuracy_ends ? `, ${fixed(each.accuracy_ends[0], 2)} to ${fixed(each.accuracy_ends[1], 2)}` : ""));
    const x = spread(shown.flatMap(each => [each.p50, ...each.p50_ends].filter(end => end > 0)).concat(data.latency_limit ?? []), choice.scale);
    const height = flat ? 70 + 26 * shown.length : Math.max(300, Math.min(440, width * 0.5));
    const margin = { left: 56, right: 16, top: 14, bottom: 44 };
    let y = { type: "point", domain: shown.map(each => each.name), axis: null }, lane = null, marks = [];
    if (!flat) {
      const heights = shown.flatMap(each => (each.accuracy === null ? [] : each.accuracy_ends ?? [each.accuracy])).concat(data.accuracy_limit ?? []);
      const low = Math.min(...heights), high = Math.max(...heights), air = Math.max((high - low) * 0.06, 0.05);
      const floor = Math.max(0, low - air), without = shown.some(each => each.accuracy === null);
      lane = without ? floor - (high - floor) * 0.1 : null;
      y = { domain: [without ? floor - (high - floor) * 0.18 : floor, Math.min(100, high + air)] };
      marks = axisY(ticks(floor, Math.min(100, high + air), 6), `${data.y_title}, % · better →`);
      if (without) marks.push(Plot.ruleY([floor], { stroke: "var(--line)" }), Plot.text(["accuracy not measured"], { ...SOFT, frameAnchor: "bottom-right", dy: -4 }));
    }
    const at = each => (flat ? each.name : each.accuracy ?? lane);
    const edge = shown.filter(each => each.front).sort((a, b) => a.p50 - b.p50);
    const start = each => Math.max(each.p50_ends[0], x.domain[0]);
    marks.push(...axisX(x, `← faster · p50 latency, ms${x.type === "log" ? ", logarithmic" : ""}`));
    if (data.accuracy_limit !== null && !flat) marks.push(Plot.ruleY([data.accuracy_limit], { stroke: "var(--open)", strokeDasharray: "5 4" }), Plot.text([data.accuracy_limit], { y: each => each, text: each => `accuracy budget: ${fixed(each, 1)} %`, frameAnchor: "right", dy: -7, fill: "var(--open)", fontSize: 11, textAnchor: "end", ...HALO }));
    if (data.latency_limit !== null) marks.push(Plot.ruleX([data.latency_limit], { stroke: "var(--open)", strokeDasharray: "5 4" }), Plot.text([data.latency_limit], { x: each => each, text: each => `latency budget: ${ms(each)} ms`, frameAnchor: "top", dx: 5, fill: "var(--open)", fontSize: 11, textAnchor: "start", ...HALO }));
    if (edge.length > 1) marks.push(Plot.line(edge, { x: "p50", y: "accuracy", curve: "step-after", stroke: "var(--mark)", strokeOpacity: 0.45, strokeWidth: 1.6 }));
    const isCrowd = shown.length > 40, r = isCrowd ? 3 : 5;
    const faint = each => (isCrowd && each.look !== "chosen" && !each.front ? 0.15 : 0.8), seen = each => (isCrowd && each.look === "taken" && !each.front ? 0.45 : 1);
    shown.sort((a, b) => a.front - b.front || (a.look === "chosen") - (b.look === "chosen"));
    marks.push(
      Plot.ruleY(shown, { y: at, x1: start, x2: each => each.p50_ends[1], stroke: colour, strokeWidth: 1.4, strokeOpacity: faint }),
      Plot.ruleX(shown.filter(each => each.accuracy_ends && !flat), { x: "p50", y1: each => each.accuracy_ends[0], y2: each => each.accuracy_ends[1], stroke: colour, strokeWidth: 1.4, strokeOpacity: faint }),
      Plot.dot(shown.filter(each => each.look === "chosen"), { x: "p50", y: at, r: 10, stroke: "var(--mark)", strokeWidth: 2, fill: "none" }),
      Plot.dot(shown.filter(each => each.look !== "taken"), { x: "p50", y: at, r, fill: each => (each.look === "left" ? "var(--card)" : colour(each)), stroke: colour, strokeWidth: 1.8 }),
      Plot.dot(shown.filter(each => each.look === "taken"), { x: "p50", y: at, r, symbol: "times", stroke: "var(--open)", strokeWidth: isCrowd ? 1.5 : 2.2, strokeOpacity: seen }),
    );
    const options = { width, height, style: TEXT, marginLeft: margin.left, marginRight: margin.right, marginTop: margin.top, marginBottom: margin.bottom, x: { ...x, axis: null }, y: { ...y, axis: null } };
    const bare = Plot.plot({ ...options, marks });
    const across = bare.scale("x").apply, up = bare.scale("y").apply;
    const rank = each => (each.look === "chosen" ? 0 : each.front ? 1 : 2);
    const named = [...shown].sort((a, b) => rank(a) - rank(b)).filter(each => shown.length <= MOST_LABELS || rank(each) < 2).slice(0, MOST_LABELS);
    const bars = shown.map(each => ({ ...around(0, up(at(each)), 2), left: across(start(each)), right: across(each.p50_ends[1]) }))
      .concat(shown.filter(each => each.accuracy_ends && !flat).map(each => ({ ...around(across(each.p50), 0, 2), top: up(each.accuracy_ends[1]), bottom: up(each.accuracy_ends[0]) })))
      .concat(data.accuracy_limit !== null && !flat ? { left: width - margin.right - 150, right: width - margin.right, top: up(data.accuracy_limit) - 16, bottom: up(data.accuracy_limit) + 2 } : []);
    const labels = placed(named.map(each => ({ each, text: each.name.length > 26 ? each.name.slice(0, 25) + "…" : each.name, x: across(each.p50), y: up(at(each)) })), bars, width, height, margin);
    for (const label of labels)
      marks.push(Plot.text([label.each], { x: "p50", y: at, text: () => label.text, dx: label.dx, dy: label.dy, textAnchor: "start", fill: label.each.look === "chosen" ? "var(--mark)" : "var(--ink)", fontWeight: 600, fontSize: 12, ...HALO }));
    marks.push(tip(shown, words, { x: "p50", y: at }));
    const svg = Plot.plot({ ...options, marks });
    for (const label of labels) lead(svg, label);
    return [{ svg, items: [...shown].sort((a, b) => a.p50 - b.p50), words, spot: each => [across(each.p50), up(at(each))] }];
  }

  /** From the baseline to the bundle: a bar for what each step changed. */
  function waterfall(width) {
    const last = data.steps.find(each => each.outcome === "chosen");
    const panel = (title, key, unit, say, judge, limit) => {
      const start = `${key}_start`, known = data.steps.filter(each => each[key] !== null);
      if (!known.length) return null;
      const rows = known.map(each => ({ ...each, label: each.name, value: each[key], from: each[start] }));
      if (last && last[key] !== null) rows.push({ ...last, label: "in the bundle", value: last[key], from: null, outcome: "bundle" });
      const isTime = key === "p50", values = rows.flatMap(each => [each.value, each.from ?? each.value]).concat(isTime ? 0 : limit ?? []);
      const low = Math.min(...values), high = Math.max(...values), air = Math.max((high - low) * 0.12, 0.1);
      const domain = isTime ? [0, high * 1.22] : [Math.max(0, low - air), Math.min(high + 2.5 * air, 100 + 2.5 * air)];
      const marginLeft = Math.min(150, 14 + 6.6 * Math.max(...rows.map(each => each.label.length)));
      const wide = Math.min(width, Math.max(300, width >= 680 ? (width - 16) / 2 : width));
      const tone = each => (each.outcome === "bundle" ? "var(--mark)" : each.from === null ? "var(--other)" : each.outcome === "taken back" ? "var(--open)" : judge(each.value, each.from));
      const words = each => `${each.label}: ${say(each.value)}${unit}` + (each.from === null ? "" : `, from ${say(each.from)}${unit} of ${each.start}`) + (each.outcome === "bundle" ? "" : ` (${each.outcome})`);
      const scale = { type: "linear", domain };
      const left = each => Math.min(each.value, each.from ?? (isTime ? 0 : each.value)), right = each => Math.max(each.value, each.from ?? each.value);
      const options = { width: wide, style: TEXT, height: 44 + 34 * rows.length, marginLeft, marginRight: 12, marginTop: 6, marginBottom: 38, x: { domain, axis: null }, y: { type: "band", domain: rows.map(each => each.label), axis: null, padding: 0.3 } };
      const svg = Plot.plot({
        ...options,
        marks: [
          ...axisX(scale, title),
          Plot.axisY({ label: null, tickSize: 0, color: "var(--ink)", fontSize: 12, tickFormat: each => (each.length > 20 ? each.slice(0, 19) + "…" : each) }),
          ...(limit !== null && !isTime ? [Plot.ruleX([limit], { stroke: "var(--open)", strokeDasharray: "5 4" })] : []),
          Plot.barX(rows, { x1: left, x2: right, y: "label", fill: each => (each.outcome === "taken back" ? "none" : tone(each)), stroke: tone, fillOpacity: 0.75, strokeWidth: 1.4 }),
          Plot.tickX(rows, { x: "value", y: "label", stroke: tone, strokeWidth: 3 }),
          Plot.text(rows, { x: right, y: "label", dx: 7, text: each => say(each.value) + (each.outcome === "taken back" ? ", taken back" : ""), textAnchor: "start", fill: "var(--ink)", fontSize: 12, ...HALO }),
          tip(rows, words, { x: "value", y: "label" }),
        ],
      });
      const up = svg.scale("y"), across = svg.scale("x").apply;
      return { svg, items: rows, words, spot: each => [across(each.value), up.apply(each.label) + up.bandwidth / 2] };
    };
    return [
      panel("p50 latency, ms · shorter is faster", "p50", " ms", ms, (now, before) => (now < before ? "var(--good)" : "var(--bad)"), data.latency_limit),
      panel(`${data.y_title || "accuracy"}, % · dashed: the budget`, "accuracy", " %", each => fixed(each, 2), (now, before) => (now >= before ? "var(--good)" : now < data.accuracy_limit ? "var(--bad)" : "var(--other)"), data.accuracy_limit),
    ].filter(Boolean);
  }

  /** Which share of single runs took no longer than so many milliseconds. */
  function distribution(width, choice) {
    const edge = new Set(data.points.filter(each => each.front).map(each => each.name));
    const isMain = (each, place) => each.look === "chosen" || place === 0 || edge.has(each.name);
    const many = data.distributions.length > MOST_LINES && !choice.all;
    const shown = data.distributions.filter((each, place) => !many || isMain(each, place));
    const spots = shown.flatMap(each => each.percent.map((percent, place) => ({ name: each.name, look: each.look, percent, ms: each.ms[place] })));
    const x = spread(spots.map(each => each.ms).filter(each => each > 0), choice.scale);
    const words = each => `${each.name}: ${fixed(each.percent, 0)} % of the runs took ${ms(each.ms)} ms or less`;
    const middle = each => each.ms[each.percent.findIndex(percent => percent >= 50)];
    const named = [...shown].sort((a, b) => middle(a) - middle(b)).slice(0, MOST_LABELS)
      .map((each, place) => spots.filter(spot => spot.name === each.name).find(spot => spot.percent >= [30, 55, 75][place % 3]));
    const height = Math.max(260, Math.min(360, width * 0.4)), margin = { left: 56, right: 20, top: 20, bottom: 44 };
    const options = { width, height, style: TEXT, marginLeft: margin.left, marginRight: margin.right, marginTop: margin.top, marginBottom: margin.bottom, x: { ...x, axis: null }, y: { domain: [0, 100], axis: null } };
    const marks = [
      ...axisY([0, 25, 50, 75, 95, 100], "share of the runs, %"),
      ...axisX(x, `ms${x.type === "log" ? ", logarithmic" : ""}`),
      Plot.line(spots, { x: "ms", y: "percent", z: "name", stroke: colour, strokeWidth: each => (each.look === "chosen" ? 2.6 : 1.5) }),
    ];
    const bare = Plot.plot({ ...options, marks }), across = bare.scale("x").apply, up = bare.scale("y").apply;
    const lines = spots.map(each => around(across(each.ms), up(each.percent), 4));
    for (const label of placed(named.map(each => ({ each, text: each.name, x: across(each.ms), y: up(each.percent) })), lines, width, height, margin))
      marks.push(Plot.text([label.each], { x: "ms", y: "percent", text: "name", dx: label.dx, dy: label.dy, textAnchor: "start", fontWeight: 600, fontSize: 12, fill: label.each.look === "chosen" ? "var(--mark)" : "var(--ink)", ...HALO }));
    const svg = Plot.plot({ ...options, marks: [...marks, tip(spots, words, { x: "ms", y: "percent" })] });
    return [{ svg, items: spots, words, spot: each => [across(each.ms), up(each.percent)] }];
  }

  const choose = (name, text, ...options) => ({ name, text, options });
  const scaleOf = choose("scale", "latency axis", ["", "by range"], ["log", "logarithmic"], ["linear", "linear"]);
  const CHARTS = {
    front: { draw: front, about: "Accuracy against latency", tools: [scaleOf, ...(data.points.some(each => each.look === "taken") ? [{ name: "taken", text: "what was taken back", on: true }] : [])] },
    steps: { draw: waterfall, about: "What each step changed", tools: [] },
    distribution: { draw: distribution, about: "Distribution of latencies", tools: [scaleOf, ...(data.distributions.length > MOST_LINES ? [{ name: "all", text: "all variants", on: false }] : [])] },
  };

  const made = (tag, more, ...inside) => {
    const node = Object.assign(document.createElement(tag), more);
    node.append(...inside);
    return node;
  };

  /** A drawing that the keyboard reaches: arrows go from point to point, what is pointed at is said below. */
  function reachable(drawing, about, hint) {
    const { svg, items, words, spot } = drawing, readout = made("p", { className: "readout", textContent: hint });
    readout.setAttribute("aria-live", "polite");
    svg.setAttribute("aria-hidden", "true");
    const holder = made("div", { tabIndex: 0 }, svg);
    holder.setAttribute("role", "group");
    holder.setAttribute("aria-label", `${about}: a chart of ${items.length} points; arrow keys go from one to the next. The numbers stand in the tables.`);
    svg.addEventListener("input", () => { readout.textContent = svg.value ? words(svg.value).replaceAll("\n", "; ") : hint; });
    let place = -1;
    const send = (type, [x, y]) => {
      const box = svg.getBoundingClientRect(), [, , wide, high] = svg.getAttribute("viewBox").split(" ").map(Number);
      svg.dispatchEvent(new PointerEvent(type, { clientX: box.left + (x * box.width) / wide, clientY: box.top + (y * box.height) / high, pointerType: "mouse" }));
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
    const { draw, about, tools } = CHARTS[figure.dataset.chart], choice = {};
    const drawn = made("div", { className: "drawn" }), bar = made("div", { className: "tools" });
    for (const tool of tools) {
      const input = tool.options ? made("select", {}, ...tool.options.map(([value, text]) => made("option", { value, textContent: text }))) : made("input", { type: "checkbox", checked: tool.on });
      choice[tool.name] = tool.options ? "" : tool.on;
      input.addEventListener("change", () => { choice[tool.name] = tool.options ? input.value : input.checked; show(true); });
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
    new ResizeObserver(() => { if (!matchMedia("print").matches) show(false); }).observe(drawn);
  }

  document.querySelectorAll("figure[data-chart]").forEach((figure, place) => begin(figure, place ? "" : HINT));
})();
