// One child's card: the newest record, by event time.

import { qualityWords, strainNumber, strainWords, timeWords } from "./words.js";

export class Card {
  #child;
  #newest = "";
  #fields;

  constructor(child) {
    this.#child = child;
    this.element = document.getElementById("card").content.cloneNode(true).firstElementChild;
    this.element.dataset.child = child.id;
    this.#fields = Object.fromEntries(
      [...this.element.querySelectorAll("[data-field]")].map((element) => [element.dataset.field, element]),
    );
    this.#fields.name.textContent = child.display_name;
  }

  /** Says why nothing comes, where a guardian has not allowed monitoring. */
  monitoring(granted) {
    if (!granted) this.#fields.quality.textContent = "Monitoring is off: no guardian has allowed it.";
  }

  /** Shows the newest of the records; a late one, older than what is shown, changes nothing. */
  show(records) {
    const record = records.reduce((a, b) => (a === null || b.ts > a.ts ? b : a), null);
    if (record === null || record.ts < this.#newest) return;
    this.#newest = record.ts;
    const strain = strainNumber(record.stress_level);
    const heartRate = record.heart_rate_bpm;
    this.#fields.strain.textContent = strain ?? "–";
    this.#fields["strain-words"].textContent = strainWords(strain);
    this.#fields["strain-meter"].value = strain ?? 0;
    this.#fields["heart-rate"].textContent = heartRate === null ? "–" : Math.round(heartRate);
    this.#fields["heart-rate-words"].textContent = heartRate === null ? "" : "beats a minute";
    this.#fields.quality.textContent = qualityWords(record);
    this.#fields.time.textContent = timeWords(record.ts, this.#child.zone);
    this.#fields.time.dateTime = record.ts;
  }
}
