/** The variants that are drawn: of many, the chosen one, the first and those of the front. */
function drawnLines(choice) {
  if (choice.all || data.distributions.length <= MOST_LINES) return data.distributions;
  const edge = new Set(data.points.filter(each => each.front).map(each => each.name));
  return data.distributions.filter((each, place) => each.look === "chosen" || !place || edge.has(each.name));
}

/** A point of each line to put its name at: neighbours' at other heights. */
function linePoints(shown, spots) {
  const middle = each => each.ms[each.percent.findIndex(percent => percent >= 50)];
  const ordered = [...shown].sort((a, b) => middle(a) - middle(b)).slice(0, MOST_LABELS);
  return ordered.map((line, place) =>
    spots.find(each => each.name === line.name && each.percent >= [30, 55, 75][place % 3]),
  );
}

/** Which share of single runs took no longer than so many milliseconds. */
function distribution(width, choice) {
  const shown = drawnLines(choice);
  const spots = shown.flatMap(({ name, look, percent, ms }) =>
    percent.map((share, place) => ({ name, look, percent: share, ms: ms[place] })),
  );
  const words = each => `${each.name}: ${fixed(each.percent, 0)} % of the runs took ${ms(each.ms)} ms or less`;
  const x = spread(spots.map(each => each.ms).filter(each => each > 0), choice.scale);
  const height = Math.max(260, Math.min(360, width * 0.4)), margin = { left: 56, right: 20, top: 20, bottom: 44 };
  const options = { ...sized(width, height, margin), x: { ...x, axis: null }, y: { domain: [0, 100], axis: null } };
  const at = { x: "ms", y: "percent" };
  const marks = [
    ...axisY([0, 25, 50, 75, 95, 100], "share of the runs, %"),
    ...axisX(x, `ms${x.type === "log" ? ", logarithmic" : ""}`),
    Plot.line(spots, { ...at, z: "name", stroke: colour, strokeWidth: each => (each.look === "chosen" ? 2.6 : 1.5) }),
  ];
  const bare = Plot.plot({ ...options, marks }), across = bare.scale("x").apply, up = bare.scale("y").apply;
  const spot = each => [across(each.ms), up(each.percent)];
  const wanted = linePoints(shown, spots).map(each => ({
    each, text: shortened(each.name, 26), x: across(each.ms), y: up(each.percent),
  }));
  const obstacles = spots.map(each => around(...spot(each), 4));
  marks.push(...placed(wanted, obstacles, width, height, margin).map(each => labelled(each, at)));
  return [{ svg: Plot.plot({ ...options, marks: [...marks, tip(spots, words, at)] }), items: spots, words, spot }];
}
