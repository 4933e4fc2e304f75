// The early hint in the card "Now": off until a parent turns it on. Words only: never a sound, never an alarm.

import { copy, paint } from "./elements.js";
import { clockWords } from "./words.js";

const KEY = "zenmoon.early-hint";
const hints = new Set(); // of every child on the page: one switch turns all of them
let loading = null;
let on = stored();

/** The kernel and the model, fetched when a hint is first wanted. */
function library() {
  loading ??= Promise.all([import("./early.js"), import("./tinylstm.js")]).then(
    async ([{ Early }, { TinyLSTM }]) => new Early(await TinyLSTM.load("tinylstm.wasm", "alerts.tflite")),
  );
  loading.catch(() => {
    loading = null; // the next attempt asks again
  });
  return loading;
}

export class Hint {
  #history;
  #zone;
  #fields;
  #early = null;
  #failed = false;

  constructor(history, zone) {
    this.#history = history;
    this.#zone = zone;
    ({ element: this.element, fields: this.#fields } = copy("hint"));
    this.#fields.switch.addEventListener("change", () => turn(this.#fields.switch.checked));
    hints.add(this);
    this.turned();
  }

  /** The switch was moved, here or at another child. */
  turned() {
    this.#fields.switch.checked = on;
    this.#fields.note.hidden = !on;
    this.load();
  }

  /** Gets what the hint is made of, where it is wanted; not before the page knows what time it is. */
  async load() {
    paint(this.#write);
    if (!on || this.#history.now === 0) return;
    try {
      [this.#early] = await Promise.all([library(), this.#history.loadMinutes()]);
      this.#failed = false;
    } catch {
      this.#failed = true;
    }
    paint(this.#write);
  }

  /** The history has taken something in, or the limit has changed. */
  grown() {
    if (on) paint(this.#write);
  }

  remove() {
    hints.delete(this);
  }

  #write = () => {
    const said = on ? this.#words() : "";
    if (this.#fields.said.textContent !== said) this.#fields.said.textContent = said;
  };

  #words() {
    if (this.#failed) return "The early hint could not be loaded. Load the page again in a moment.";
    if (this.#early === null) return "";
    const { minutes, end } = this.#history.minutes();
    const limit = this.#history.limit;
    // From the start each time: what arrives late finds its place, and every device says the same.
    const early = this.#early;
    early.reset();
    let probability = null;
    for (const minute of minutes) {
      const strain = minute?.strain.mean ?? null;
      probability = early.step(strain === null ? null : strain / 100, minute?.heartRate.mean ?? null, minute?.share ?? 0, limit / 100);
    }
    return sentence(early, probability, limit, clockWords(end, this.#zone));
  }
}

function sentence(early, probability, limit, clock) {
  if (early.silent === "missing") return `No hint: the minute before ${clock} has no strain.`;
  if (early.silent === "minutes") return `No hint yet: it needs ${early.readyMinutes} minutes with strain, and has ${early.minutes}.`;
  if (early.silent === "above") return `At ${limit} or above already, as of ${clock}.`;
  if (probability < early.threshold) return `No sign of a rise, as of ${clock}.`;
  return `May pass ${limit} within ${early.horizonMinutes} minutes: ${Math.round(probability * 100)} %, as of ${clock}.`;
}

function stored() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false; // storage may be forbidden: the choice lasts until the page is closed
  }
}

function turn(wanted) {
  on = wanted;
  try {
    if (wanted) localStorage.setItem(KEY, "");
    else localStorage.removeItem(KEY);
  } catch {
    // see above
  }
  for (const hint of hints) hint.turned();
}
