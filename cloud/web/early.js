// An early hint: may the child's alarm begin within the next quarter of an hour? The model runs here, on this device.
//
// The same as zenmoon_edge/core/early.py, number by number: a test compares the two. Trained on simulated children, not validated
// on people. Pure, but for the model it is given.

const METADATA = "zenmoon";
const VERSION = 2;
const INPUTS = 7;
const ABSENT_MINUTES = 10;
const LIMIT = 4;
const LOGITS = 4; // the output times this is the logit of the probability
const FAST = 0.25;
const SLOW = 0.05;

/** Inputs of the model, minute by minute: only +, − and ×, in the order of early.py. */
export class Minutes {
  #previous = null;
  #fast = 0;
  #slow = 0;
  #heart = null;
  #heartFast = 0;

  /** strain, limit: 0–1; heartRate: bpm or null; coverage: share of the minute that was measured, 0–1. */
  step(strain, heartRate, coverage, limit) {
    if (this.#previous === null) this.#previous = this.#fast = this.#slow = strain;
    const change = strain - this.#previous;
    this.#previous = strain;
    this.#fast += FAST * (strain - this.#fast);
    this.#slow += SLOW * (strain - this.#slow);
    let slowHeart = 0;
    let fastHeart = 0;
    if (heartRate !== null) {
      if (this.#heart === null) this.#heart = this.#heartFast = heartRate;
      this.#heart += SLOW * (heartRate - this.#heart);
      this.#heartFast += FAST * (heartRate - this.#heartFast);
      slowHeart = 0.1 * (heartRate - this.#heart);
      fastHeart = 0.1 * (heartRate - this.#heartFast);
    }
    const inputs = [
      5 * (strain - limit),
      10 * change,
      10 * (strain - this.#fast),
      6 * (strain - this.#slow),
      slowHeart,
      fastHeart,
      coverage,
    ];
    return inputs.map((x) => Math.min(LIMIT, Math.max(-LIMIT, x)));
  }
}

/** The model at work. `silent` says why the last step gave null: "missing", "minutes", "above"; "" when it spoke. */
export class Early {
  #model;
  #inputs;
  #absent;

  /** model: a TinyLSTM of tinylstm.js. Throws Error where it is no early hint. */
  constructor(model) {
    this.#model = model;
    const data = model.metadata(METADATA);
    if (data?.length !== 8) throw new Error("the model is no early hint");
    const head = new DataView(data.buffer, data.byteOffset, data.length);
    if (head.getUint8(0) !== VERSION || head.getUint8(1) !== INPUTS || model.inputs !== INPUTS || model.outputs !== 1) {
      throw new Error("the file is of another version, or of another model");
    }
    this.readyMinutes = head.getUint8(2);
    this.horizonMinutes = head.getUint8(3);
    this.threshold = head.getFloat32(4, true);
    if (!(this.threshold > 0 && this.threshold < 1)) throw new Error("the threshold is no probability");
    this.reset();
  }

  /** Forgets the child. */
  reset() {
    this.#model.reset();
    this.#inputs = new Minutes();
    this.#absent = 0;
    this.minutes = 0;
    this.silent = "minutes";
  }

  /** The next minute, in the order of time and none left out; strain is null where it has none. A probability, or null. */
  step(strain, heartRate, coverage, limit) {
    if (strain === null) {
      this.#absent += 1;
      if (this.#absent > ABSENT_MINUTES) this.reset();
      this.silent = "missing";
      return null;
    }
    this.#absent = 0;
    const inputs = this.#inputs.step(strain, heartRate, coverage, limit);
    const [[output]] = this.#model.dequantise(this.#model.step(this.#model.quantise(inputs)));
    if (this.minutes < this.readyMinutes) this.minutes += 1;
    this.silent = this.minutes < this.readyMinutes ? "minutes" : strain >= limit ? "above" : "";
    return this.silent ? null : 1 / (1 + Math.exp(-LOGITS * output));
  }
}
