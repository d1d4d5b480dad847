/** A point in words. */
function pointWords(each) {
  const become = { chosen: " (chosen)", taken: " (taken back)" }[each.look] ?? "";
  const time = `p50 ${ms(each.p50)} ms, ${ms(each.p50_ends[0])} to ${ms(each.p50_ends[1])}`;
  if (each.accuracy === null) return `${each.name}${become}\n${time}\naccuracy not measured`;
  const ends = each.accuracy_ends?.map(end => fixed(end, 2)).join(" to ");
  return `${each.name}${become}\n${time}\n${fixed(each.accuracy, 2)} % ${data.y_name}${ends ? `, ${ends}` : ""}`;
}

/** The range of accuracy, and below it the height at which points stand that have none; null where all have one. */
function heights(shown) {
  const values = shown
    .flatMap(each => (each.accuracy === null ? [] : (each.accuracy_ends ?? [each.accuracy])))
    .concat(data.accuracy_limit ?? []);
  const air = Math.max((Math.max(...values) - Math.min(...values)) * 0.06, 0.05);
  const floor = Math.max(0, Math.min(...values) - air);
  const top = Math.min(100, Math.max(...values) + air);
  const without = shown.some(each => each.accuracy === null);
  return {
    floor,
    top,
    lane: without ? floor - (top - floor) * 0.1 : null,
    domain: [without ? floor - (top - floor) * 0.18 : floor, top],
  };
}

/** The scales, the size and the margins of a plot of points. */
function frontFrame(shown, width, choice) {
  const isFlat = !data.y_title; // no accuracy at all: a row for each variant
  const ends = shown.flatMap(each => [each.p50, ...each.p50_ends]).filter(end => end > 0);
  const x = spread(ends.concat(data.latency_limit ?? []), choice.scale);
  const range = isFlat ? null : heights(shown);
  const margin = { left: 56, right: 16, top: 14, bottom: 44 };
  const height = isFlat ? 70 + 26 * shown.length : Math.max(300, Math.min(440, width * 0.5));
  const at = each => (isFlat ? each.name : (each.accuracy ?? range.lane));
  const y = isFlat ? { type: "point", domain: shown.map(each => each.name) } : { domain: range.domain };
  const options = { ...sized(width, height, margin), x: { ...x, axis: null }, y: { ...y, axis: null } };
  return { isFlat, x, range, margin, width, height, at, options };
}

/** Axes, and the budgets as dashed lines. */
function frontBack({ isFlat, x, range }) {
  const marks = [];
  if (!isFlat) {
    marks.push(...axisY(ticks(range.floor, range.top, 6), `${data.y_title}, % · better →`));
    if (range.lane !== null) {
      marks.push(Plot.ruleY([range.floor], { stroke: "var(--line)" }));
      marks.push(Plot.text(["accuracy not measured"], { ...SOFT, frameAnchor: "bottom-right", dy: -4 }));
    }
  }
  marks.push(...axisX(x, `← faster · p50 latency, ms${x.type === "log" ? ", logarithmic" : ""}`));
  const dashed = { stroke: "var(--open)", strokeDasharray: "5 4" };
  const words = { fill: "var(--open)", fontSize: 11, ...HALO };
  if (data.accuracy_limit !== null && !isFlat) {
    const text = `accuracy budget: ${fixed(data.accuracy_limit, 1)} %`;
    marks.push(Plot.ruleY([data.accuracy_limit], dashed));
    marks.push(
      Plot.text([data.accuracy_limit], {
        ...words, y: each => each, text: () => text, frameAnchor: "right", dy: -7, textAnchor: "end",
      }),
    );
  }
  if (data.latency_limit !== null) {
    const text = `latency budget: ${ms(data.latency_limit)} ms`;
    marks.push(Plot.ruleX([data.latency_limit], dashed));
    marks.push(
      Plot.text([data.latency_limit], {
        ...words, x: each => each, text: () => text, frameAnchor: "top", dx: 5, textAnchor: "start",
      }),
    );
  }
  return marks;
}

/** The front as a line, then intervals and points; in a crowd those that are beaten are small and faint. */
function frontMarks(shown, { isFlat, x, at }) {
  const isCrowd = shown.length > 40;
  const isBeaten = each => isCrowd && each.look !== "chosen" && !each.front;
  const interval = { stroke: colour, strokeWidth: 1.4, strokeOpacity: each => (isBeaten(each) ? 0.15 : 0.8) };
  const start = each => Math.max(each.p50_ends[0], x.domain[0]);
  const edge = shown.filter(each => each.front).sort((a, b) => a.p50 - b.p50);
  const looks = (...names) => shown.filter(each => names.includes(each.look));
  const spot = { x: "p50", y: at, r: isCrowd ? 3 : 5 };
  const line = { x: "p50", y: "accuracy", curve: "step-after", stroke: "var(--mark)", strokeOpacity: 0.45 };
  return [
    ...(edge.length > 1 ? [Plot.line(edge, { ...line, strokeWidth: 1.6 })] : []),
    Plot.ruleY(shown, { y: at, x1: start, x2: each => each.p50_ends[1], ...interval }),
    Plot.ruleX(isFlat ? [] : shown.filter(each => each.accuracy_ends), {
      x: "p50", y1: each => each.accuracy_ends[0], y2: each => each.accuracy_ends[1], ...interval,
    }),
    Plot.dot(looks("chosen"), { ...spot, r: 10, stroke: "var(--mark)", strokeWidth: 2, fill: "none" }),
    Plot.dot(looks("chosen", "kept"), { ...spot, fill: colour }),
    Plot.dot(looks("left"), { ...spot, fill: "var(--card)", stroke: colour, strokeWidth: 1.8 }),
    Plot.dot(looks("taken"), {
      ...spot, symbol: "times", stroke: colour, strokeWidth: isCrowd ? 1.5 : 2.2,
      strokeOpacity: each => (isBeaten(each) ? 0.45 : 1),
    }),
  ];
}

/** What labels should leave uncovered: the intervals, and the words of the budget. */
function frontObstacles(shown, { isFlat, at, width, margin }, across, up) {
  const bars = shown.map(each => ({
    ...around(0, up(at(each)), 2), left: across(each.p50_ends[0]), right: across(each.p50_ends[1]),
  }));
  if (isFlat) return bars;
  for (const each of shown.filter(each => each.accuracy_ends))
    bars.push({
      ...around(across(each.p50), 0, 2), top: up(each.accuracy_ends[1]), bottom: up(each.accuracy_ends[0]),
    });
  const right = width - margin.right;
  if (data.accuracy_limit !== null)
    bars.push({ left: right - 150, right, top: up(data.accuracy_limit) - 16, bottom: up(data.accuracy_limit) + 2 });
  return bars;
}

/** Accuracy against latency, with the front of those that no other variant beats. */
function front(width, choice) {
  const left = data.points.filter(each => choice.taken || each.look !== "taken");
  const shown = left.length ? left : [...data.points];
  shown.sort((a, b) => a.front - b.front || (a.look === "chosen") - (b.look === "chosen")); // the last is on top
  const frame = frontFrame(shown, width, choice), { at, options, margin, height } = frame;
  const marks = [...frontBack(frame), ...frontMarks(shown, frame)];
  const bare = Plot.plot({ ...options, marks });
  const across = bare.scale("x").apply, up = bare.scale("y").apply;
  const rank = each => (each.look === "chosen" ? 0 : each.front ? 1 : 2);
  const named = [...shown].sort((a, b) => rank(a) - rank(b));
  const wanted = named.filter(each => shown.length <= MOST_LABELS || rank(each) < 2).slice(0, MOST_LABELS);
  const labels = placed(
    wanted.map(each => ({ each, text: shortened(each.name, 26), x: across(each.p50), y: up(at(each)) })),
    frontObstacles(shown, frame, across, up), width, height, margin,
  );
  marks.push(...labels.map(label => labelled(label, { x: "p50", y: at })), tip(shown, pointWords, { x: "p50", y: at }));
  const svg = Plot.plot({ ...options, marks });
  for (const label of labels) lead(svg, label);
  const items = [...shown].sort((a, b) => a.p50 - b.p50);
  return [{ svg, items, words: pointWords, spot: each => [across(each.p50), up(at(each))] }];
}
