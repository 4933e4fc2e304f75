// Points as the columns that the chart library draws, and the stretches where there is nothing to draw. Pure.

/** Between two points, in seconds: records come every 4 s, and one that is late or lost alone leaves no hole worth showing. */
const TOLERANCE_S = 6;

/** Of a stretch: below it, too little was measured to trust its mean as that of the whole. */
export const PARTLY = 0.5;

/**
 * Columns of one metric ("strain" or "heartRate"): times, means, means of what was only partly measured, lowest, highest.
 * A gap between points becomes a row of nulls, so that no line crosses it. rows: the point of each row, null for a gap.
 */
export function columns(points, metric) {
  const rows = withGaps(points);
  const known = (row) => row !== null && row[metric].mean !== null;
  const isPartly = (row) => known(row) && row.share < PARTLY;
  const times = rows.map((row, index) => row?.at ?? (rows[index - 1].end + rows[index + 1].start) / 2);
  const mean = (row) => (known(row) ? row[metric].mean : null);
  const whole = rows.map((row) => (isPartly(row) ? null : mean(row)));
  // The faint line begins and ends at its whole neighbours, so that both lines are seen as one course.
  const partly = rows.map((row, index) => {
    const beside = isPartly(rows[index - 1] ?? null) || isPartly(rows[index + 1] ?? null);
    return isPartly(row) || beside ? mean(row) : null;
  });
  const low = rows.map((row) => row?.[metric].low ?? null);
  const high = rows.map((row) => row?.[metric].high ?? null);
  return { data: [times, whole, partly, low, high], rows };
}

/** Rows with a value on neither side: a line has no length there, so they are drawn as dots. */
export function lonely(column) {
  const none = (value) => value === null || value === undefined;
  const indices = column.map((_, index) => index);
  return indices.filter((index) => !none(column[index]) && none(column[index - 1]) && none(column[index + 1]));
}

/**
 * Where nothing was measured ("nothing"), and where the band was worn but the metric could not be told ("unsure"):
 * [{kind, from, to}] within the window, neighbours of a kind joined.
 */
export function stretches(points, metric, window) {
  const found = [];
  const add = (kind, from, to) => {
    const begin = Math.max(from, window.from);
    const end = Math.min(to, window.to);
    if (end <= begin) return;
    const last = found.at(-1);
    if (last !== undefined && last.kind === kind && begin - last.to <= TOLERANCE_S) last.to = end;
    else found.push({ kind, from: begin, to: end });
  };
  let reached = window.from;
  for (const point of points) {
    if (point.start - reached > TOLERANCE_S) add("nothing", reached, point.start);
    if (!point.worn && point[metric].mean === null) add("nothing", point.start, point.end);
    else if (point[metric].mean === null) add("unsure", point.start, point.end);
    reached = Math.max(reached, point.end);
  }
  if (window.to - reached > TOLERANCE_S) add("nothing", reached, window.to);
  return found;
}

function withGaps(points) {
  const rows = [];
  for (const point of points) {
    const before = rows.at(-1);
    if (before && point.start - before.end > TOLERANCE_S) rows.push(null);
    rows.push(point);
  }
  return rows;
}
