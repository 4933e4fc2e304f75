// What a chart shows, in words: for whoever cannot see it, and for whoever has no time to look. Pure.

import { PARTLY, stretches } from "./chart_columns.js";
import { clockWords, dateWords, durationWords, hourWords, strainWords } from "./words.js";

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;

/** One point: "14:02: strain 45, about as usual; heart rate 84". limit: of the strain, from which on an alarm counts. */
export function pointWords(point, zone, limit) {
  const length = point.end - point.start;
  // Half a day: the day that the clocks change has 23 hours.
  const time = length > DAY_S / 2 ? dateWords(point.at, zone) : clockWords(point.start, zone, length > MINUTE_S);
  const said = [];
  if (point.strain.mean !== null) said.push(`strain ${number(point.strain)}, ${strainWords(Math.round(point.strain.mean), limit)}`);
  if (point.heartRate.mean !== null) said.push(`heart rate ${number(point.heartRate)}`);
  if (said.length === 0) said.push(point.worn ? "worn, signal too weak to say" : "nothing measured");
  else if (point.share < PARTLY) said.push("only partly measured");
  return `${time}: ${said.join("; ")}`;
}

/** The whole range in a sentence or two. */
export function summaryWords(points, range, window, limit) {
  const known = points.filter((point) => point.strain.mean !== null);
  if (points.length === 0) return `Nothing was measured in ${range.words}.`;
  const nothing = stretches(points, "strain", window).filter(({ kind }) => kind === "nothing");
  const missing = nothing.reduce((sum, { from, to }) => sum + to - from, 0);
  const measured = missing < MINUTE_S ? "" : ` Nothing was measured for ${durationWords(missing)} of it.`;
  if (known.length === 0) return `Strain could not be told in ${range.words}.${measured}`;
  const mean = Math.round(weighted(known, "strain"));
  const first = `In ${range.words} strain was ${mean} on average, ${strainWords(mean, limit)}`;
  return `${first}, and between ${extreme(known, "low", Math.min)} and ${extreme(known, "high", Math.max)}.${measured}`;
}

/** Rows of the table: [time, strain, heart rate, measured], the newest first; one for every slot, also of nothing measured. */
export function tableRows(points, range, window, zone) {
  const rows = new Map();
  const step = (range.row_s ?? DAY_S) / 2; // half a slot: no slot is stepped over, also where the clocks change
  for (let at = window.from; at < window.to + step; at += step) rows.set(rowLabel(Math.min(at, window.to - 1), range, zone), []);
  for (const point of points) rows.get(rowLabel(point.at, range, zone))?.push(point);
  const cells = [...rows].map(([label, members]) => {
    const measured = members.reduce((sum, point) => sum + (point.worn ? point.share * (point.end - point.start) : 0), 0);
    return [label, spread(members, "strain"), spread(members, "heartRate"), measured < 1 ? "nothing" : durationWords(measured)];
  });
  return cells.reverse();
}

function rowLabel(at, range, zone) {
  if (range.row_s === null) return dateWords(at, zone);
  if (range.row_s >= HOUR_S) return hourWords(at, zone);
  // Every zone is a multiple of a quarter of an hour away from UTC: shorter slots begin with the local clock's.
  return clockWords(Math.floor(at / range.row_s) * range.row_s, zone);
}

function spread(members, metric) {
  const known = members.filter((point) => point[metric].mean !== null);
  if (known.length === 0) return "–";
  const mean = Math.round(weighted(known, metric));
  return `${mean} (${extreme(known, "low", Math.min, metric)}–${extreme(known, "high", Math.max, metric)})`;
}

function weighted(known, metric) {
  const weight = (point) => Math.max(point.share, 0.01) * (point.end - point.start);
  const total = known.reduce((sum, point) => sum + weight(point), 0);
  return known.reduce((sum, point) => sum + weight(point) * point[metric].mean, 0) / total;
}

function extreme(known, edge, choose, metric = "strain") {
  return Math.round(known.reduce((found, point) => choose(found, point[metric][edge] ?? point[metric].mean), choose()));
}

function number({ mean, low, high }) {
  const rounded = Math.round(mean);
  const alike = low === null || Math.round(high) === Math.round(low);
  return alike ? `${rounded}` : `${rounded} (${Math.round(low)}–${Math.round(high)})`;
}
