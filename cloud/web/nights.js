// The nights before: how long a child slept, as bars of the same scale. Fetched when somebody wants to see it.

import { make } from "./elements.js";
import { request } from "./session.js";
import { dateWords, durationWords } from "./words.js";

const NIGHTS = 7;
const DAY_MS = 24 * 3600 * 1000;
const FULL_S = 12 * 3600; // a bar across the whole card

/** Fills the card. child: as /api/children gives it. fields: the card's parts. now: event time in seconds since 1970. */
export async function showNights(child, fields, now) {
  const span = `from=${new Date(now * 1000 - NIGHTS * DAY_MS).toISOString()}&to=${new Date(now * 1000).toISOString()}`;
  try {
    const page = await request("GET", `/api/children/${encodeURIComponent(child.id)}/sleep?${span}`);
    const nights = page.items.filter((episode) => !episode.nap).slice(0, NIGHTS);
    fields.list.replaceChildren(...nights.map((night) => bar(night, child.zone)));
    fields.none.textContent = nights.length === 0 ? "No night has been measured in the last week." : "";
  } catch {
    fields.none.textContent = "The nights could not be fetched. Close this and open it again in a moment.";
  }
}

function bar(night, zone) {
  const row = document.createElement("li");
  const length = document.createElement("progress");
  length.max = FULL_S;
  length.value = night.asleep_s;
  length.ariaHidden = "true";
  row.append(make("span", dateWords(Date.parse(night.ended_at) / 1000, zone)), length, make("span", durationWords(night.asleep_s)));
  return row;
}
