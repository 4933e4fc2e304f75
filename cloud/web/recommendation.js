// The recommendation of one child: what to try, why, and whether it helped.

import { copy, make, paint } from "./elements.js";
import { failureWords, request } from "./session.js";
import { clockWords, durationWords, strainNumber } from "./words.js";

const HOUR_S = 3600;

export class Recommendation {
  #path;
  #child;
  #shown = null;
  #seen = null; // id of the newest one that was reported as seen
  #inView = false;
  #fields;

  constructor(child) {
    this.#child = child;
    this.#path = `/api/recommendation/${encodeURIComponent(child.id)}`;
    ({ element: this.element, fields: this.#fields } = copy("recommendation"));
    this.#fields.ask.addEventListener("click", () => this.#ask());
    this.#fields.helped.addEventListener("click", () => this.#rate(true));
    this.#fields["not-helped"].addEventListener("click", () => this.#rate(false));
    new IntersectionObserver((entries) => {
      this.#inView = entries.at(-1).isIntersecting;
      this.#markSeen();
    }).observe(this.element);
    document.addEventListener("visibilitychange", () => this.#markSeen());
  }

  /** Fetches the present one, or why there is none. */
  async load() {
    try {
      this.show(await request("GET", this.#path));
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * Shows one; an older one than is shown, arriving late or twice, changes nothing. A message of the WebSocket says nothing of the
   * thumb, which is each guardian's own.
   */
  show(recommendation) {
    const shown = this.#shown;
    if (recommendation.recommendation_id === null) {
      this.#withhold(recommendation.reason);
      return;
    }
    const same = shown?.recommendation_id === recommendation.recommendation_id;
    if (shown !== null && recommendation.recommendation_id < shown.recommendation_id) return;
    if (same && recommendation.revision < shown.revision) return;
    const thumb = "helpful" in recommendation ? recommendation.helpful : same ? shown.helpful : null;
    this.#shown = { ...recommendation, helpful: thumb };
    if (!same) this.#fields.thanks.textContent = "";
    paint(this.#write);
    this.#markSeen();
  }

  #write = () => {
    const { recommendation, activity, at, helpful } = this.#shown;
    this.#fields.said.textContent = recommendation;
    this.#fields.activity.textContent = activity === null ? "" : `${activity.name}, ${activity.minutes} minutes`;
    const time = clockWords(Date.parse(at) / 1000, this.#child.zone, true);
    this.#fields.given.textContent = `${activity === null ? "As of" : "Suggested at"} ${time}.`;
    // Leaving a moment alone is a choice like the others; silence for want of a reading is none.
    this.#fields.thumbs.hidden = !chosen(this.#shown);
    this.#fields.question.textContent = activity === null ? "Was that right?" : "Did it help?";
    this.#fields.helped.setAttribute("aria-pressed", String(helpful === true));
    this.#fields["not-helped"].setAttribute("aria-pressed", String(helpful === false));
    const reasons = reasonWords(this.#shown);
    this.#fields.why.hidden = reasons.length === 0;
    this.#fields.reasons.replaceChildren(...reasons.map((text) => make("li", text)));
  };

  /** Nothing has been suggested, or nothing may be any more. */
  #withhold(reason) {
    this.#shown = null;
    this.#fields.said.textContent = reason;
    for (const name of ["activity", "given", "thanks"]) this.#fields[name].textContent = "";
    for (const name of ["thumbs", "why"]) this.#fields[name].hidden = true;
  }

  async #ask() {
    this.#fields.ask.disabled = true;
    this.#fields.failure.textContent = "";
    try {
      this.show(await request("POST", this.#path));
    } catch (error) {
      this.#fail(error);
    }
    this.#fields.ask.disabled = false;
  }

  /** A second press of the same thumb takes it back. */
  async #rate(helpful) {
    const rated = this.#shown;
    const answer = rated.helpful === helpful ? null : helpful;
    this.#fields.failure.textContent = "";
    try {
      const body = { recommendation_id: rated.recommendation_id, child_id: this.#child.id, was_helpful: answer };
      await request("POST", "/api/feedback", body);
      rated.helpful = answer;
      this.#fields.thanks.textContent = answer === null ? "Taken back." : "Thank you.";
    } catch (error) {
      this.#fail(error);
    }
    paint(this.#write);
  }

  /** Tells the service once that somebody has it before their eyes. */
  async #markSeen() {
    const shown = this.#shown;
    if (shown === null || !this.#inView || document.hidden) return;
    if (shown.seen_at !== null || this.#seen === shown.recommendation_id) return;
    this.#seen = shown.recommendation_id;
    try {
      await request("POST", `/api/deliveries/${encodeURIComponent(shown.recommendation_id)}/seen`);
    } catch {
      if (this.#seen === shown.recommendation_id) this.#seen = null; // tried again when it next comes into view
    }
  }

  #fail(error) {
    this.#fields.failure.textContent = failureWords(error);
  }
}

/** Whether there was something to choose. */
function chosen({ activity, receipt }) {
  return activity !== null || (receipt?.propensity ?? 1) < 1;
}

/** Why it was suggested: the service's own sentence, the facts behind it, and the part of chance. */
function reasonWords({ reason, receipt }) {
  const facts = (receipt?.facts ?? []).map(factWords);
  return [reason, ...facts, chanceWords(receipt)].filter(Boolean);
}

/** A fact of the receipt; "" for a kind that says nothing beyond the sentence. */
function factWords(fact) {
  if (fact.kind === "observation") return `Strain over the last ${fact.minutes} minutes: ${strainNumber(fact.value)} of 100.`;
  if (fact.kind === "limit") return `The alarm counts from a strain of ${strainNumber(fact.value)} on.`;
  if (fact.kind === "sleep") return `Asleep in the last night: ${durationWords(fact.value * HOUR_S)}.`;
  return "";
}

function chanceWords(receipt) {
  if (!receipt?.propensity || receipt.propensity === 1) return "";
  return `The chance of this one was ${Math.round(receipt.propensity * 100)} in 100, by ${receipt.policy}.`;
}
