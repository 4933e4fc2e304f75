// A course in points: what one record, or one bucket of the service, says about a stretch of time. Pure.
//
// {start, end, at: seconds since 1970; share: 0–1 of the stretch that was measured; worn; strain, heartRate: {mean, low, high}}
// with strain from 0 to 100, and null where nothing can be said.

import { CONTACT, WORN } from "./words.js";

const RECORD_S = 4;
const MINUTE_S = 60;

/** One record as the service gives it: the end of its 4 s is its time. */
export function recordPoint(record) {
  const end = Date.parse(record.ts) / 1000;
  return {
    start: end - RECORD_S,
    end,
    at: end,
    share: 1,
    worn: (record.quality & WORN) !== 0,
    strain: value(record.stress_level, null, null, 100),
    heartRate: value(record.heart_rate_bpm, null, null, 1),
  };
}

/** One bucket of a rolled level. */
export function bucketPoint(bucket) {
  const start = Date.parse(bucket.start) / 1000;
  const end = Date.parse(bucket.end) / 1000;
  return {
    start,
    end,
    at: (start + end) / 2,
    share: bucket.completeness,
    worn: bucket.covered_s > 0,
    strain: value(bucket.stress_level, bucket.stress_level_min, bucket.stress_level_max, 100),
    heartRate: value(bucket.heart_rate_bpm, bucket.heart_rate_bpm_min, bucket.heart_rate_bpm_max, 1),
  };
}

/** The UTC minutes of some records, as the service will roll them. */
export function minutePoints(records) {
  const minutes = new Map();
  for (const record of records) {
    const start = Math.floor(Date.parse(record.ts) / 1000 / MINUTE_S) * MINUTE_S;
    if (!minutes.has(start)) minutes.set(start, []);
    minutes.get(start).push(record);
  }
  return [...minutes].map(([start, members]) => {
    const covered = members.filter((record) => (record.quality & WORN) !== 0 && (record.quality & CONTACT) !== 0);
    return {
      start,
      end: start + MINUTE_S,
      at: start + MINUTE_S / 2,
      share: Math.min(1, (covered.length * RECORD_S) / MINUTE_S),
      worn: members.some((record) => (record.quality & WORN) !== 0),
      strain: together(members.map((record) => record.stress_level), 100),
      heartRate: together(members.map((record) => record.heart_rate_bpm), 1),
    };
  });
}

/** Buckets, but what is known more closely takes the place of every bucket that it touches; in the order of time. */
export function merge(buckets, closer) {
  const ends = closer.map((point) => point.end).sort((a, b) => a - b);
  const touched = (bucket) => {
    let from = 0;
    let to = ends.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (ends[middle] > bucket.start) to = middle;
      else from = middle + 1;
    }
    return from < ends.length && ends[from] <= bucket.end;
  };
  return [...buckets.filter((bucket) => !touched(bucket)), ...closer].sort((a, b) => a.at - b.at);
}

function value(mean, low, high, factor) {
  const times = (number) => (number === null || number === undefined ? null : number * factor);
  return { mean: times(mean), low: times(low), high: times(high) };
}

function together(numbers, factor) {
  const known = numbers.filter((number) => number !== null);
  if (known.length === 0) return value(null, null, null, factor);
  const mean = known.reduce((sum, number) => sum + number, 0) / known.length;
  return value(mean, Math.min(...known), Math.max(...known), factor);
}
