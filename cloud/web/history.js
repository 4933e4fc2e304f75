// What is known of one child's course: records of the last hour as measured, before that what the service has rolled.

import { bucketPoint, merge, minutePoints, recordPoint } from "./points.js";
import { request } from "./session.js";

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;

// Ranges whose end is made of the records that are held are asked for again before the first of these are let go.
const LIVE = { level: "minute", live: true, refetch_s: HOUR_S / 2 };

/**
 * id: also its key in storage. span_s: the window's length. level: of the series asked for. refetch_s: an answer so much older than
 * now, in event time, is asked for again. row_s: a row of the table; null = a local day.
 */
export const RANGES = [
  { id: "1h", label: "1 hour", words: "the last hour", span_s: HOUR_S, row_s: 300, ...LIVE },
  { id: "24h", label: "24 hours", words: "the last 24 hours", span_s: DAY_S, row_s: HOUR_S, ...LIVE },
  { id: "7d", label: "7 days", words: "the last 7 days", span_s: 7 * DAY_S, row_s: null, level: "hour", refetch_s: HOUR_S },
  { id: "60d", label: "60 days", words: "the last 60 days", span_s: 60 * DAY_S, row_s: null, level: "day", refetch_s: DAY_S },
];

/** So far back records are held as measured; what is older is shown by the minute. */
export const HELD_S = HOUR_S;

const KEY = "zenmoon.range";
const METRICS = "metric=stress_level&metric=heart_rate_bpm";
const PAGE = 2000;
const STEPS_S = { minute: MINUTE_S, hour: HOUR_S, day: DAY_S };

export class History {
  #path;
  #records = new Map();
  #since = Infinity;
  #answers = new Map();

  /** now: event time in seconds since 1970, the newest that the service has spoken of. limit: a strain that counts for an alarm. */
  constructor(childId) {
    this.#path = `/api/children/${encodeURIComponent(childId)}/series`;
    this.now = 0;
    this.limit = 75; // the service's default, until it has said this child's own
  }

  /** Fetches the records of the last hour: what comes live afterwards goes on from them. Returns them. */
  async hold() {
    const since = this.now - HELD_S;
    const records = await this.#pages("record", since, "records");
    this.#since = Math.min(this.#since, since);
    this.add(records);
    return records;
  }

  /** Fetches a range's buckets. */
  async load(range) {
    const to = this.now;
    // A whole bucket more, so that the line does not begin inside of the window.
    const buckets = await this.#pages(range.level, to - range.span_s - STEPS_S[range.level], "buckets");
    this.#answers.set(range.id, { to, points: buckets.map(bucketPoint) });
  }

  /** Fetches the minutes of the last hour, unless a live range has them: records alone would leave out what a phone has summed up. */
  async loadMinutes() {
    if (RANGES.every((range) => !range.live || this.wants(range))) await this.load(RANGES[0]);
  }

  /** {minutes, end}: the whole minutes of the last hour in the order of time, null for one of which nothing is known, until `end`. */
  minutes() {
    const end = Math.floor(this.now / MINUTE_S) * MINUTE_S;
    const known = new Map();
    const live = RANGES.filter((range) => range.live).map((range) => this.#answers.get(range.id)?.points ?? []);
    for (const point of [...live.flat(), ...this.#wholeMinutes([...this.#records.values()])]) known.set(point.start, point);
    const starts = Array.from({ length: HELD_S / MINUTE_S }, (_, i) => end - HELD_S + i * MINUTE_S);
    return { minutes: starts.map((start) => known.get(start) ?? null), end };
  }

  /** Whether a range was never fetched, or too long ago. */
  wants(range) {
    const answer = this.#answers.get(range.id);
    return answer === undefined || this.now - answer.to > range.refetch_s;
  }

  /** Takes records in, in any order and any number of times. */
  add(records) {
    for (const record of records) {
      this.#records.set(`${record.device} ${record.boot} ${record.seq}`, record);
      this.now = Math.max(this.now, Date.parse(record.ts) / 1000);
    }
    const oldest = this.now - HELD_S - MINUTE_S;
    if (this.#since < oldest - MINUTE_S) {
      for (const [key, record] of this.#records) if (Date.parse(record.ts) / 1000 < oldest) this.#records.delete(key);
      this.#since = oldest;
    }
  }

  /** The points of a range, in the order of time. */
  points(range) {
    const buckets = this.#answers.get(range.id)?.points ?? [];
    if (!range.live) return buckets;
    const records = [...this.#records.values()];
    const closer = range.span_s <= HELD_S ? records.map(recordPoint) : this.#wholeMinutes(records);
    return merge(buckets, closer).filter((point) => point.end > this.now - range.span_s);
  }

  /** Minutes of which every record that there is is held. */
  #wholeMinutes(records) {
    return minutePoints(records).filter((point) => point.start >= this.#since);
  }

  /** All pages of one level, from then until the service's present. */
  async #pages(level, since, key) {
    const path = `${this.#path}?level=${level}&from=${new Date(since * 1000).toISOString()}&${METRICS}&limit=${PAGE}`;
    const items = [];
    let cursor = null;
    do {
      const page = await request("GET", cursor === null ? path : `${path}&cursor=${encodeURIComponent(cursor)}`);
      items.push(...page[key]);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return items;
  }
}

/** The range chosen last on this device, else a day. */
export function chosenRange() {
  let id = null;
  try {
    id = localStorage.getItem(KEY);
  } catch {
    // storage may be forbidden
  }
  return RANGES.find((range) => range.id === id) ?? RANGES[1];
}

export function keepRange(range) {
  try {
    localStorage.setItem(KEY, range.id);
  } catch {
    // storage may be forbidden: the choice lasts until the page is closed
  }
}
