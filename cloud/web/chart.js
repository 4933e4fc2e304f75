// The card of one child's charts: strain and heart rate over a chosen range, by eye, by key, by touch and by table.

import { Plot, library, roomy } from "./chart_plot.js";
import { pointWords, summaryWords, tableRows } from "./chart_words.js";
import { copy, make, paint } from "./elements.js";
import { RANGES, chosenRange, keepRange } from "./history.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

export class Chart {
  #history;
  #zone;
  #fields;
  #plots = [];
  #points = [];
  #range = chosenRange();
  #at = null; // the row under the cursor
  #loading = new Set(); // ranges that are being fetched
  #failed = new Set(); // ranges whose last fetch failed: not tried again with every record, but when they are chosen
  #visible;
  #uPlot = null;
  #stale = false; // not before the library is there

  constructor(history, zone) {
    this.#history = history;
    this.#zone = zone;
    ({ element: this.element, fields: this.#fields } = copy("chart"));
    for (const range of RANGES) {
      const button = make("button", range.label);
      button.type = "button";
      button.className = "plain";
      button.addEventListener("click", () => this.#choose(range));
      this.#fields.ranges.append(button);
    }
    this.#fields.plots.addEventListener("keydown", (event) => this.#key(event));
    this.#fields.plots.addEventListener("pointermove", (event) => this.#follow(event));
    this.#fields.plots.addEventListener("pointerdown", (event) => this.#follow(event));
    this.#fields.plots.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.#move(null));
    this.#fields.details.addEventListener("toggle", () => paint(this.#write));
    this.#visible = new ResizeObserver(() => this.#plots.forEach(({ plot, place }) => plot.resize(place.clientWidth)));
    this.#mark();
    this.recolour();
  }

  /** Fetches the chosen range and shows it. */
  async load() {
    const range = this.#range;
    if (this.#loading.has(range)) return;
    this.#loading.add(range);
    try {
      await this.#history.load(range);
      this.#failed.delete(range);
    } catch {
      this.#failed.add(range);
    }
    this.#loading.delete(range);
    paint(this.#write);
  }

  /** The history has taken something in: shows it, with the next frame. */
  grown() {
    if (this.#history.wants(this.#range) && !this.#failed.has(this.#range)) this.load();
    paint(this.#write);
  }

  /** The plots are to be drawn anew, in the colours of the present theme. */
  async recolour() {
    this.#uPlot = await library;
    this.#stale = true;
    paint(this.#write);
  }

  #choose(range) {
    this.#range = range;
    this.#at = null;
    keepRange(range);
    this.#mark();
    paint(this.#write);
    if (this.#history.wants(range)) this.load();
  }

  #mark() {
    const buttons = this.#fields.ranges.children;
    RANGES.forEach((range, index) => buttons[index].setAttribute("aria-pressed", String(range === this.#range)));
  }

  #draw() {
    const uPlot = this.#uPlot;
    this.#stale = false;
    this.#plots.forEach(({ plot }) => plot.destroy());
    this.#plots = [];
    this.#fields.plots.hidden = uPlot === null;
    this.#fields.missing.hidden = uPlot !== null;
    if (uPlot === null) return;
    const shared = { colours: () => this.#colours(), zone: this.#zone, window: () => this.#window() };
    const places = [
      [this.#fields.strain, { metric: "strain", height: 170, limit: () => this.#history.limit, scale: () => [0, 100] }],
      [this.#fields["heart-rate"], { metric: "heartRate", height: 130, limit: () => null, scale: roomy }],
    ];
    this.#plots = places.map(([place, own]) => ({ place, plot: new Plot(uPlot, place, { ...own, ...shared }) }));
    places.forEach(([place]) => this.#visible.observe(place));
  }

  #window() {
    // The present hour or day is drawn whole, though it is not over yet.
    const to = Math.max(this.#history.now, this.#points.at(-1)?.end ?? 0);
    return { from: to - this.#range.span_s, to };
  }

  #write = () => {
    // Before the service has spoken, or while the range's first answer is on its way, there is nothing to show yet.
    if (this.#history.now === 0 || (this.#loading.has(this.#range) && this.#history.wants(this.#range))) return;
    this.#points = this.#history.points(this.#range);
    if (this.#stale) this.#draw();
    for (const { plot } of this.#plots) plot.show(this.#points);
    const failed = this.#failed.has(this.#range);
    this.#fields.summary.textContent = failed ? "" : summaryWords(this.#points, this.#range, this.#window(), this.#history.limit);
    this.#fields.failure.textContent = failed ? "This range could not be fetched. Choose it again in a moment." : "";
    this.#read();
    if (this.#fields.details.open) {
      const rows = tableRows(this.#points, this.#range, this.#window(), this.#zone).map((cells) => {
        const row = document.createElement("tr");
        row.append(...cells.map((cell, index) => make(index === 0 ? "th" : "td", cell)));
        row.firstElementChild.scope = "row";
        return row;
      });
      this.#fields.rows.replaceChildren(...rows);
    }
  };

  /** Says what stands under the cursor, else the newest. */
  #read() {
    const rows = this.#plots[0]?.plot.rows ?? this.#points;
    const index = this.#at === null || this.#at >= rows.length ? rows.length - 1 : this.#at;
    const row = rows[index];
    const said = (point) => pointWords(point, this.#zone, this.#history.limit);
    const text = row === undefined ? "" : row === null ? "Nothing was measured here." : said(row);
    this.#fields.reading.textContent = text;
    const slider = this.#fields.plots;
    slider.ariaValueMax = String(Math.max(rows.length - 1, 0));
    slider.ariaValueNow = String(Math.max(index, 0));
    slider.ariaValueText = text || "no values yet";
  }

  #move(index) {
    if (index === this.#at) return;
    this.#at = index;
    for (const { plot } of this.#plots) plot.point(index);
    this.#read();
  }

  #key(event) {
    const step = STEPS[event.key];
    const last = (this.#plots[0]?.plot.rows.length ?? 0) - 1;
    if (last < 0 || (step === undefined && event.key !== "Escape")) return;
    event.preventDefault();
    this.#move(step === undefined ? null : Math.min(Math.max((this.#at ?? last) + step, 0), last));
  }

  /** A finger or a mouse that moves along the chart; what a finger has found stays when it is lifted. */
  #follow(event) {
    if (this.#plots.length > 0) this.#move(this.#plots[0].plot.rowAt(event.clientX));
  }

  /** The colours of the present theme, as the legend's own patches have them: custom properties would come back unresolved. */
  #colours() {
    const of = (selector) => getComputedStyle(this.element.querySelector(selector)).color;
    return {
      strain: of(".line.strain"), heartRate: of(".line.heart-rate"), limit: of(".line.limit"), usual: of(".patch.usual"),
      spread: of(".patch.spread"), unsure: of(".patch.unsure"), nothing: of(".patch.nothing"), quiet: of(".legend"),
      line: getComputedStyle(this.element).borderTopColor,
    };
  }
}
