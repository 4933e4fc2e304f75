// One plot of the chart library: a metric over time, with the spread around its mean.

import { columns, lonely, stretches } from "./chart_columns.js";
import { clockWords, dateWords, localDate, usualUntil } from "./words.js";

const DAY_S = 86400;
const AXIS_PX = 40;
const HATCH = 8; // px between two strokes of the hatching
const SPAN = 30; // beats a minute that the axis shows at least: a calm hour shall not look like a storm
const FAINT = 0.5; // of what was only partly measured

// The card moves the cursors itself, alike for mouse, finger and key.
const DEAF = Object.fromEntries(
  ["mousedown", "mouseup", "click", "dblclick", "mousemove", "mouseleave", "mouseenter"].map((event) => [event, () => null]),
);

/** The chart library, null where the set-up could not get it. Asked for once: the page goes on without. */
export const library = import("./vendor/uplot.js").then((module) => module.default).catch(() => null);

export class Plot {
  #place;
  #settings;
  #uplot = null;
  #stretches = [];
  rows = [];

  /**
   * place: the element to draw in. settings: {metric, height, colours() of the present theme, limit() of the scale or null,
   * scale(low, high) → [from, to], zone, window() → {from, to}}.
   */
  constructor(uPlot, place, settings) {
    this.#place = place;
    this.#settings = settings;
    this.#build(uPlot);
  }

  /** Shows these points. */
  show(points) {
    const { metric, window } = this.#settings;
    const { data, rows } = columns(points, metric);
    this.rows = rows;
    this.#stretches = stretches(points, metric, window());
    this.#uplot.setData(data);
  }

  resize(width) {
    if (width > 0 && width !== this.#uplot.width) this.#uplot.setSize({ width, height: this.#settings.height });
  }

  /** Puts the cursor on a row, or away with null. */
  point(index) {
    const left = index === null ? -10 : this.#uplot.valToPos(this.#uplot.data[0][index], "x");
    this.#uplot.setCursor({ left, top: index === null ? -10 : 1 });
  }

  /** The row nearest to a position on the screen, null where there is none. */
  rowAt(clientX) {
    if (this.#uplot.data[0].length === 0) return null;
    return this.#uplot.posToIdx(clientX - this.#uplot.over.getBoundingClientRect().left);
  }

  destroy() {
    this.#uplot.destroy();
  }

  #build(uPlot) {
    const { metric, height, limit, scale, zone, window } = this.#settings;
    const colours = this.#settings.colours();
    const line = colours[metric];
    const dots = (column) => ({ show: false, size: 5, fill: line, stroke: line, filter: (plot) => lonely(plot.data[column]) });
    const axis = { stroke: colours.quiet, grid: { stroke: colours.line, width: 1 }, ticks: { show: false } };
    this.#uplot = new uPlot(
      {
        width: this.#place.clientWidth || 300,
        height,
        padding: [8, 24, 0, 0],
        tzDate: (seconds) => localDate(seconds, zone),
        legend: { show: false },
        cursor: { y: false, bind: DEAF, points: { size: 9, fill: line, stroke: line } },
        scales: {
          x: { time: true, range: () => [window().from, window().to] },
          y: { range: (_, low, high) => scale(low, high) },
        },
        axes: [
          { ...axis, size: 28, space: 60, values: (_, splits, __, ___, step) => timeLabels(splits, step, zone) },
          { ...axis, size: AXIS_PX, space: 32 },
        ],
        series: [
          {},
          { stroke: line, width: 2, points: dots(1) },
          { stroke: line, alpha: FAINT, width: 2, dash: [4, 4], points: dots(2) },
          { stroke: "transparent", points: { show: false } },
          { stroke: "transparent", points: { show: false } },
        ],
        bands: [{ series: [4, 3], fill: colours.spread }],
        hooks: { drawClear: [(plot) => shade(plot, colours, limit(), this.#stretches)] },
      },
      [[], [], [], [], []],
      this.#place,
    );
  }
}

/** The time of day, or where that is midnight or the step is a day or more: the day. */
function timeLabels(splits, step, zone) {
  return splits.map((at) => {
    const clock = clockWords(at, zone);
    if (step >= DAY_S) return dateWords(at, zone).replace(/^\S+ /, "");
    return clock === "00:00" ? dateWords(at, zone).replace(",", "") : clock;
  });
}

/** Draws behind a plot: what is usual below the limit, if there is one, and `stretches` as chart_columns.js finds them. */
function shade(plot, colours, limit, stretches) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  if (limit !== null) {
    const top = plot.valToPos(usualUntil(limit), "y", true);
    ctx.fillStyle = colours.usual;
    ctx.fillRect(bbox.left, top, bbox.width, bbox.top + bbox.height - top);
    ctx.fillStyle = colours.limit;
    ctx.fillRect(bbox.left, plot.valToPos(limit, "y", true), bbox.width, devicePixelRatio);
  }
  for (const { kind, from, to } of stretches) {
    const left = plot.valToPos(from, "x", true);
    const width = Math.max(plot.valToPos(to, "x", true) - left, 1);
    if (kind === "nothing") hatch(ctx, left, width, bbox, colours.nothing);
    else {
      ctx.fillStyle = colours.unsure;
      ctx.fillRect(left, bbox.top, width, bbox.height);
    }
  }
  ctx.restore();
}

function hatch(ctx, left, width, { top, height }, colour) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.beginPath();
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  const step = HATCH * devicePixelRatio;
  // The strokes hang on the canvas, not on the stretch: they stand still while a stretch grows.
  for (let x = Math.floor((left - height) / step) * step; x < left + width; x += step) {
    ctx.moveTo(x, top + height);
    ctx.lineTo(x + height, top);
  }
  ctx.stroke();
  ctx.restore();
}

/** The axis of the heart rate: in tens, with room around the values. */
export function roomy(low, high) {
  if (low === null || low === undefined) return [60, 60 + SPAN];
  const from = Math.floor((low - 3) / 10) * 10;
  return [from, Math.max(Math.ceil((high + 3) / 10) * 10, from + SPAN)];
}
