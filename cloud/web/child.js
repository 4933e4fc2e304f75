// Everything that the page says of one child.

import { Alarms } from "./alarms.js";
import { Chart } from "./chart.js";
import { copy } from "./elements.js";
import { Hint } from "./hint.js";
import { History } from "./history.js";
import { Now } from "./now.js";
import { Recommendation } from "./recommendation.js";
import { request } from "./session.js";
import { strainNumber } from "./words.js";

export class Child {
  #child;
  #now;
  #chart;
  #history;
  #hint;
  #recommendation;
  #alarms;
  #failure;

  /** child: as /api/children gives it. banners: the page's element for alarms. */
  constructor(child, banners) {
    this.#child = child;
    this.#history = new History(child.id);
    this.#now = new Now(child.zone, () => this.#history.limit);
    this.#hint = new Hint(this.#history, child.zone);
    this.#now.element.append(this.#hint.element);
    this.#chart = new Chart(this.#history, child.zone);
    this.#recommendation = new Recommendation(child);
    this.#alarms = new Alarms(child, banners);
    const nights = copy("nights");
    nights.element.addEventListener("toggle", async () => {
      const { showNights } = await import("./nights.js");
      if (nights.element.open) showNights(child, nights.fields, this.#history.now);
    });
    const { element, fields } = copy("child");
    this.element = element;
    this.#failure = fields.failure;
    element.dataset.child = child.id;
    fields.name.textContent = child.display_name;
    const parts = [this.#now, this.#recommendation, this.#chart, this.#alarms, nights];
    element.querySelector(".cards").append(...parts.map((part) => part.element));
  }

  /** Fetches everything, all at once; `ts` is the service's present, which a demo runs fast. What fails says so in its own card. */
  async load(ts) {
    this.#history.now = Math.max(this.#history.now, Date.parse(ts) / 1000);
    const parts = [this.#hold(), this.#chart.load(), this.#recommendation.load(), this.#lookForAlarms(), this.#askForLimit()];
    await Promise.allSettled(parts);
    await this.#hint.load();
  }

  /** A message of the WebSocket about this child. */
  receive(message) {
    if (message.type === "live") {
      this.#history.add(message.data.records);
      this.#now.show(message.data.records);
      this.#chart.grown();
      this.#hint.grown();
    } else if (message.type === "recommendation") {
      this.#recommendation.show(message.data.recommendation);
    } else if (message.type === "alert") {
      this.#alarms.take(message.data.alert);
    }
  }

  recolour() {
    this.#chart.recolour();
  }

  remove() {
    this.#alarms.remove();
    this.#hint.remove();
    this.element.remove();
  }

  async #hold() {
    const records = await this.#history.hold();
    this.#now.show(records);
    this.#chart.grown();
    if (records.length === 0) await this.#askWhetherMonitored();
  }

  async #askForLimit() {
    const alarm = await request("GET", `/api/children/${encodeURIComponent(this.#child.id)}/alarm`);
    this.#history.limit = strainNumber(alarm.threshold);
    this.#now.reword();
    this.#chart.grown();
    this.#hint.grown();
  }

  async #lookForAlarms() {
    try {
      await this.#alarms.load();
      this.#failure.textContent = "";
    } catch {
      this.#failure.textContent = "Alarms of before could not be looked up. Load the page again in a moment.";
    }
  }

  async #askWhetherMonitored() {
    const consents = await request("GET", `/api/consents?child_id=${encodeURIComponent(this.#child.id)}`);
    this.#now.monitoring(consents.some((consent) => consent.purpose === "monitoring" && consent.granted));
  }
}
