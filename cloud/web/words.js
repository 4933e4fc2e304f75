// What a record says, in words. The numbers compare a child with that child's own usual and claim nothing else.

const WORN = 1;
const CONTACT = 4;
const BEATS = 16;
const MODEL_READY = 32;

/** A strain of 0–1 as a whole number of 0–100, null where the record withholds it. */
export function strainNumber(strain) {
  return strain === null || strain === undefined ? null : Math.round(strain * 100);
}

/** How a strain of 0–100 compares with the child's usual. */
export function strainWords(number) {
  if (number === null) return "";
  if (number < 35) return "calmer than usual";
  if (number <= 65) return "about as usual";
  return "raised against usual";
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
  const parts = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" };
  return new Date(ts).toLocaleString([], { timeZone: zone, ...parts });
}
