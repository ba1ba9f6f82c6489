// One chart over time: lines, areas or steps of some series, a legend that says the values under the cursor (or the
// last ones), marks of decisions. All charts of a view share their cursor and their stretch of time.

import uPlot from "./vendor/uplot.js";
import { fill, h, inUnit, say, timeOf } from "./dom.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const STEP = uPlot.paths.stepped({ align: 1 });

// `lines`: {series | read, label, colour, unit, step, area, dash}; `marks`: () => [{at, kind}].
export class Chart {
  constructor({ title, lines, group, height = 170, marks, note, share, optional, onmove }) {
    this.lines = lines;
    this.group = group;
    this.height = height;
    this.marks = marks;
    this.share = share;
    this.optional = optional;
    this.onmove = onmove;
    this.values = lines.map((each) => h("span", { class: "value" }));
    this.keys = lines.map((each) => h("span", { class: `key ${each.dash ? "dashed" : ""}`, "aria-hidden": "true" }));
    this.plot = h("div", { class: "plot", role: "img", tabindex: "0", "aria-label": title });
    this.plot.addEventListener("keydown", (event) => this.move(event));
    this.empty = h("p", { class: "nothing", hidden: true }, "No data in this time.");
    this.element = h("figure", { class: "chart" },
      h("figcaption", {}, h("span", { class: "title" }, title), note && h("span", { class: "muted small" }, note)),
      h("ul", { class: "legend" }, lines.map((each, at) =>
        h("li", {}, this.keys[at], h("span", { class: "muted" }, each.label), this.values[at]))),
      h("div", { class: "canvas" }, this.plot, this.empty));
    this.title = title;
    this.data = [[], ...lines.map(() => [])];
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(this.plot);
  }

  // As wide as its place is; made when that is known first.
  fit() {
    const width = Math.floor(this.plot.clientWidth);
    if (width < 50) return;
    if (this.chart === undefined) this.make(width);
    else if (width !== this.chart.width) this.chart.setSize({ width, height: this.height });
  }

  make(width) {
    const ink = colour("muted");
    const grid = { stroke: colour("grid"), width: 1 };
    const font = "11px system-ui, sans-serif";
    const own = this;
    this.keys.forEach((key, at) => key.style.setProperty("--key", colour(this.lines[at].colour)));
    this.chart = new uPlot({
      width,
      height: this.height,
      legend: { show: false },
      // The time at the right end stands with its half beyond it.
      padding: [8, () => Math.max(8, halfOf(axisTime(this.group.range[1], this.group.range), font)), 0, 0],
      cursor: {
        sync: { key: this.group.key },
        drag: { x: false, y: false },
        y: false,
        points: { size: 7, width: 2 },
      },
      scales: {
        x: { time: true, range: () => this.group.range },
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), this.share ? 1 : Math.max((high ?? 0) * 1.12, this.lines[0].least ?? 1e-3)] },
      },
      axes: [
        { stroke: ink, grid: { show: false }, ticks: { stroke: colour("grid"), size: 4 }, font, space: 70, size: 28,
          values: (_, splits) => splits.map((at) => axisTime(at, this.group.range)) },
        { stroke: ink, grid, ticks: { show: false }, font, size: 56, space: 34,
          values: (_, splits) => splits.map((value) => inUnit(value, axisUnit(this.lines[0].unit))) },
      ],
      series: [{}, ...this.lines.map((each) => ({
        stroke: colour(each.colour),
        width: each.dash ? 1.5 : 2,
        dash: each.dash ? [5, 4] : undefined,
        fill: each.area ? `${colour(each.colour)}2e` : undefined,
        paths: each.step ? STEP : undefined,
        points: { show: false, size: 5, filter: lone },
        spanGaps: false,
      }))],
      hooks: {
        setCursor: [(chart) => own.tell(chart.cursor.idx)],
        draw: [(chart) => own.drawMarks(chart)],
      },
    }, this.data, this.plot);
    this.tell(null);
  }

  // Of the store's columns; the chart draws what there is.
  update(store) {
    this.data = broken(store, this.lines.map((each) => (each.read ? each.read(store) : store.values[each.series] ?? [])));
    const nothing = !this.data.slice(1).some((column) => column.some((each) => each !== null && each !== undefined));
    this.empty.hidden = !nothing;
    if (this.chart) {
      const at = this.chart.cursor.idx;
      this.chart.setData(this.data);
      this.tell(this.chart.cursor.left >= 0 ? at : null);
    } else this.tell(null);
  }

  tell(at) {
    const last = this.data[0].length - 1;
    const place = at === null || at === undefined ? last : at;
    this.values.forEach((value, line) => {
      const column = this.data[line + 1];
      say(value, inUnit(column[place] ?? null, this.lines[line].unit));
    });
    this.plot.setAttribute("aria-label", `${this.title}. ${this.lines.map((each, line) => `${each.label}: ${this.values[line].textContent}`).join(", ")}. Left and right arrow: other times.`);
    if (this.onmove && last >= 0) this.onmove(at === null || at === undefined ? null : this.data[0][place]);
  }

  // By keyboard: the arrows move the cursor of all charts.
  move(event) {
    if (!this.chart || !["ArrowLeft", "ArrowRight", "Home", "End", "Escape"].includes(event.key)) return;
    event.preventDefault();
    const last = this.data[0].length - 1;
    if (event.key === "Escape") return this.chart.setCursor({ left: -10, top: -10 });
    const now = this.chart.cursor.left >= 0 ? this.chart.cursor.idx ?? last : last;
    const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
    this.show(this.data[0][Math.max(0, Math.min(last, next))]);
  }

  show(at) {
    if (this.chart && at !== undefined) this.chart.setCursor({ left: this.chart.valToPos(at, "x"), top: 10 });
  }

  drawMarks(chart) {
    if (!this.marks) return;
    const { ctx, bbox } = chart;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    for (const { at, kind } of this.marks()) {
      const x = Math.round(chart.valToPos(at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const tone = colour(kind === "out" ? "out" : kind === "in" ? "in" : kind === "alert" ? "critical" : "muted");
      ctx.strokeStyle = tone;
      ctx.globalAlpha = 0.45;
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.fillStyle = tone;
      const size = 5 * ratio;
      const [tip, base] = kind === "in" ? [bbox.top + size * 1.6, bbox.top] : [bbox.top, bbox.top + size * 1.6];
      ctx.beginPath();
      ctx.moveTo(x, tip);
      ctx.lineTo(x - size, base);
      ctx.lineTo(x + size, base);
      ctx.closePath();
      ctx.fill();
    }
    ctx.restore();
  }

  // Other colours: made anew.
  recolour() {
    if (!this.chart) return;
    const { width } = this.chart;
    this.chart.destroy();
    this.chart = undefined;
    this.make(width);
  }

  close() {
    this.resized.disconnect();
    this.chart?.destroy();
  }
}

// A stretch in which nobody measured, as while an operator was away, is a gap and no line across.
function broken({ at, step }, columns) {
  const gaps = new Set(at.flatMap((each, place) => (place > 0 && each - at[place - 1] > Math.max(6 * step, 60) ? [place] : [])));
  if (!gaps.size) return [at, ...columns];
  const withGaps = (column, gap) => column.flatMap((each, place) => (gaps.has(place) ? [gap(place), each] : [each]));
  return [withGaps(at, (place) => at[place - 1] + step), ...columns.map((column) => withGaps(column, () => null))];
}

// The points that no line shows, since nothing is known right before and after them.
function lone(chart, series) {
  const column = chart.data[series];
  const known = (at) => column[at] !== null && column[at] !== undefined;
  return column.flatMap((_, at) => (known(at) && !known(at - 1) && !known(at + 1) ? [at] : []));
}

function axisUnit(unit) {
  return unit.includes("/") ? "" : unit;
}

const ruler = document.createElement("canvas").getContext("2d");

// Half the width of a text, in CSS pixels.
function halfOf(text, font) {
  ruler.font = font;
  return Math.ceil(ruler.measureText(text).width / 2);
}

const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

function axisTime(at, [first, last]) {
  return last - first <= 600 ? timeOf(at) : hours.format(new Date(at * 1000));
}

// The points of a service as they come: whole columns first, then what is new behind them.
export class Store {
  constructor() {
    this.at = [];
    this.values = {};
    this.decisions = [];
    this.alerts = [];
    this.now = 0;
    this.step = 5;
  }

  take(data, span) {
    if (data.whole) Object.assign(this, { at: [], values: {}, decisions: [], alerts: [] });
    this.now = data.now;
    this.step = data.step;
    const first = data.at[0];
    // The bucket that was open is told again.
    let keep = this.at.length;
    while (keep > 0 && first !== undefined && this.at[keep - 1] >= first) keep -= 1;
    const from = this.at.slice(0, keep).filter((at) => at <= data.now - span).length;
    this.at = [...this.at.slice(from, keep), ...data.at];
    for (const [name, column] of Object.entries(data.values)) {
      this.values[name] = [...(this.values[name] ?? []).slice(from, keep), ...column];
    }
    const since = data.now - span;
    this.decisions = [...this.decisions, ...data.decisions].filter((each) => each.at > since);
    this.alerts = [...this.alerts, ...data.alerts].filter((each) => each.at > since);
  }

  last(name) {
    const column = this.values[name] ?? [];
    return column.length ? column[column.length - 1] : null;
  }
}
