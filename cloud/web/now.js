// What the newest record says, by event time.

import { copy, paint } from "./elements.js";
import { qualityWords, strainNumber, strainWords, timeWords } from "./words.js";

export class Now {
  #zone;
  #limit;
  #newest = null;
  #fields;

  /** limit(): the strain of 0–100 from which on the child's alarm counts. */
  constructor(zone, limit) {
    this.#zone = zone;
    this.#limit = limit;
    ({ element: this.element, fields: this.#fields } = copy("now"));
  }

  /** Says why nothing comes, where a guardian has not allowed monitoring. */
  monitoring(granted) {
    if (!granted) this.#fields.quality.textContent = "Monitoring is off: no guardian has allowed it.";
  }

  /** Shows the newest of the records; a late one, older than what is shown, changes nothing. */
  show(records) {
    const newest = records.reduce((a, b) => (a === null || b.ts >= a.ts ? b : a), this.#newest);
    if (newest === this.#newest) return;
    this.#newest = newest;
    paint(this.#write);
  }

  /** The limit has changed. */
  reword() {
    if (this.#newest !== null) paint(this.#write);
  }

  #write = () => {
    const record = this.#newest;
    const strain = strainNumber(record.stress_level);
    const heartRate = record.heart_rate_bpm;
    this.#fields.strain.textContent = strain ?? "–";
    this.#fields["strain-words"].textContent = strainWords(strain, this.#limit());
    this.#fields["strain-bar"].value = strain ?? 0;
    this.#fields["heart-rate"].textContent = heartRate === null ? "–" : Math.round(heartRate);
    this.#fields["heart-rate-words"].textContent = heartRate === null ? "" : "beats a minute";
    this.#fields.quality.textContent = qualityWords(record);
    this.#fields.time.textContent = timeWords(record.ts, this.#zone);
    this.#fields.time.dateTime = record.ts;
  };
}
