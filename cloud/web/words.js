// What a record says, in words. The numbers compare a child with that child's own usual and claim nothing else.

// The quality byte: 1 = good.
export const WORN = 1;
export const CONTACT = 4;
const BEATS = 16;
const MODEL_READY = 32;

/** A strain of 0–1 as a whole number of 0–100, null where the record withholds it. */
export function strainNumber(strain) {
  return strain === null || strain === undefined ? null : Math.round(strain * 100);
}

/** So far below the limit from which on a child's alarm counts, strain begins to be somewhat above usual; as for suggestions. */
const NEAR = 20;

/** Until where a strain of 0–100 is usual, by the child's limit; drawn in the chart too. */
export function usualUntil(limit) {
  return limit - NEAR;
}

/** How a strain of 0–100 compares with the child's usual. */
export function strainWords(number, limit) {
  if (number === null) return "";
  if (number < usualUntil(limit)) return "about as usual";
  return number < limit ? "somewhat above usual" : "clearly above usual";
}

/** Why a record withholds values, "" when it withholds none. */
export function qualityWords(record) {
  const has = (bit) => (record.quality & bit) !== 0;
  if (!has(WORN)) return "The wristband is not worn.";
  if (!has(CONTACT)) return "Loose contact: the wristband may sit too loosely.";
  if (!has(MODEL_READY)) return "Strain follows once the wristband has learned today's usual.";
  if (!has(BEATS)) return "The pulse is hard to see at the moment.";
  return "";
}

/** Day and time of a record in the child's zone, with seconds: what arrives late must not look like now. */
export function timeWords(ts, zone) {
  return inZone(Date.parse(ts) / 1000, zone, { day: "numeric", month: "short", ...CLOCK, second: "2-digit" });
}

/** The time of day in the child's zone; with the day before it where asked for. `at` in seconds since 1970. */
export function clockWords(at, zone, withDay = false) {
  return inZone(at, zone, withDay ? { weekday: "short", ...CLOCK } : CLOCK);
}

/** The hour of the day in the child's zone, with its weekday. */
export function hourWords(at, zone) {
  return `${inZone(at, zone, { weekday: "short", hour: "2-digit", hourCycle: "h23" })}:00`.replace(",", "");
}

/** The day in the child's zone. */
export function dateWords(at, zone) {
  return inZone(at, zone, { weekday: "short", day: "numeric", month: "short" });
}

/** "45 min", "2 h 10 min", "3 days". */
export function durationWords(seconds) {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return `${Math.round(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  return `${Math.round(minutes / 1440)} days`;
}

/** A Date whose own fields are the clock of the child's zone; the chart library's own way to it takes ten times as long. */
export function localDate(at, zone) {
  const [day, month, year, hour, minute, second] = inZone(at, zone, FIELDS).match(/\d+/g);
  return new Date(year, month - 1, day, hour, minute, second);
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const FIELDS = { day: "2-digit", month: "2-digit", year: "numeric", ...CLOCK, second: "2-digit" };
const formats = new Map();

/** Formatting is slow to set up: one format for each zone and choice of parts. The page is in English, its dates too. */
function inZone(at, zone, parts) {
  const key = `${zone} ${Object.keys(parts)}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...parts }));
  return formats.get(key).format(at * 1000);
}
