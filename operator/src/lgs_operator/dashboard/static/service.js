// One service: load against replicas, each decision with its reason, and what it meant for who waits.

import { Chart, Store } from "./charts.js";
import { ago, DASH, fill, h, inUnit, number, percent, say, seconds, timeOf } from "./dom.js";
import { follow } from "./live.js";
import { pill, stateOf, waiting } from "./services.js";

const SPANS = [[900, "15 min"], [7200, "2 h"], [86400, "24 h"]];

export function service(main, namespace, name) {
  const view = new View(main, namespace, name);
  return () => view.close();
}

class View {
  constructor(main, namespace, name) {
    this.address = `api/services/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
    this.store = new Store();
    this.span = 900;
    this.group = { key: `${namespace}/${name}`, range: [0, 1] };
    this.state = h("span");
    this.tiles = tiles();
    this.absent = h("p", { class: "muted small", hidden: true });
    this.optional = new Map();
    this.charts = this.makeCharts();
    this.list = h("ol", { class: "decisions" });
    this.holding = h("p", { class: "holding" });
    this.alerts = h("ol", { class: "decisions" });
    this.alertsBox = h("section", { class: "panel", hidden: true }, h("h2", {}, "Alerts"), this.alerts);
    const [replicas, ...others] = this.charts;
    this.trouble = h("p", { class: "notice", hidden: true, role: "status" });
    main.append(
      this.trouble,
      h("div", { class: "head" }, h("h1", {}, name), this.state, h("span", { class: "space" }), this.spans()),
      this.tiles.element,
      h("div", { class: "story" },
        h("section", { class: "panel wide", "aria-label": "Replicas" }, replicas.element, this.holding),
        h("section", { class: "panel side" }, h("h2", {}, "Decisions"), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Decisions" }, this.list))),
      h("div", { class: "grid" }, others.map((each) => this.panel(each))),
      this.absent,
      this.alertsBox);
    this.recolour = () => this.charts.forEach((each) => each.recolour());
    addEventListener("themechange", this.recolour);
    this.connect();
  }

  panel(chart) {
    const element = h("section", { class: "panel" }, chart.element);
    if (chart.optional) this.optional.set(chart, element);
    return element;
  }

  spans() {
    const buttons = SPANS.map(([span, words]) => h("button", {
      type: "button", class: "choice", "aria-pressed": String(span === this.span),
      onclick: () => {
        this.span = span;
        buttons.forEach((each, at) => each.setAttribute("aria-pressed", String(SPANS[at][0] === span)));
        this.connect();
      },
    }, words));
    return h("div", { class: "choices", role: "group", "aria-label": "Stretch of time" }, buttons);
  }

  connect() {
    this.stop?.();
    this.stop = follow(`${this.address}/events?span=${this.span}`, (data) => {
      this.trouble.hidden = !data.trouble;
      say(this.trouble, data.trouble ?? "");
      this.store.take(data, this.span);
      this.show();
    }, (words) => {
      this.trouble.hidden = false;
      say(this.trouble, words);
    });
  }

  makeCharts() {
    const { group } = this;
    const marks = () => [
      ...this.store.decisions.filter(isChange).map((each) => ({ at: each.at, kind: each.replicas > each.before ? "out" : "in" })),
      ...this.store.alerts.filter((each) => each.told === "firing").map((each) => ({ at: each.at, kind: "alert" })),
    ];
    const chart = (title, lines, more = {}) => new Chart({ title, lines, group, ...more });
    return [
      chart("Replicas", [
        { series: "ready", label: "ready", colour: "blue", unit: "replicas", step: true, area: true, least: 2 },
        { series: "desired", label: "wanted", colour: "orange", unit: "replicas", step: true, dash: true },
      ], { marks, height: 220, note: "▲ scaled out  ▼ scaled in", onmove: (at) => this.say(at) }),
      chart("Load against capacity", [
        { read: load, label: "running and waiting", colour: "violet", unit: "runs", area: true, least: 2 },
        { series: "inUse", label: "running", colour: "blue", unit: "runs", area: true },
        { series: "slots", label: "slots", colour: "ink", unit: "runs", step: true, dash: true },
      ]),
      chart("Queue by priority", [
        { series: "queueHigh", label: "high", colour: "orange", unit: "runs", step: true, least: 2 },
        { series: "queueNormal", label: "normal", colour: "blue", unit: "runs", step: true },
        { series: "queueLow", label: "low", colour: "aqua", unit: "runs", step: true },
      ]),
      chart("Wait in the queue", [
        { series: "waitP95", label: "p95", colour: "blue", unit: "s" },
        { series: "oldest", label: "oldest that waits", colour: "orange", unit: "s", dash: true },
      ]),
      chart("Latency of runs", [
        { series: "p99", label: "p99", colour: "seq3", unit: "s" },
        { series: "p95", label: "p95", colour: "seq2", unit: "s" },
        { series: "p50", label: "p50", colour: "seq1", unit: "s" },
      ]),
      chart("Runs", [
        { series: "arrived", label: "arrived", colour: "ink", unit: "runs/s", dash: true, least: 0.1 },
        { series: "finished", label: "ended", colour: "blue", unit: "runs/s" },
        { series: "failed", label: "failed", colour: "red", unit: "runs/s" },
        { series: "rejected", label: "refused", colour: "orange", unit: "runs/s" },
      ]),
      chart("Errors", [{ series: "errorRate", label: "of the runs that ended", colour: "red", unit: "share", area: true }], { share: true }),
      chart("Cache hits", [{ series: "cacheHitRate", label: "of the look-ups", colour: "aqua", unit: "share", area: true }], { share: true, optional: "look-ups in the cache" }),
      chart("Tokens of models", [{ series: "tokens", label: "in and out", colour: "violet", unit: "tokens/min", area: true, least: 1 }], { optional: "tokens of models" }),
    ];
  }

  show() {
    const { store } = this;
    this.group.range = stretch(store, this.span);
    this.charts.forEach((each) => each.update(store));
    const absent = [...this.optional].filter(([chart, element]) => (element.hidden = !chart.empty.hidden));
    this.absent.hidden = !absent.length;
    say(this.absent, `Nothing in this time: ${absent.map(([chart]) => chart.optional).join(", ")}.`);
    const values = Object.fromEntries(Object.keys(store.values).map((each) => [each, store.last(each)]));
    const next = pill(stateOf({ values }));
    if (this.state.textContent !== next.textContent) fill(this.state, next);
    this.tiles.update(values);
    this.showDecisions();
    this.alertsBox.hidden = !store.alerts.length;
    redrawn(this.alerts, [...store.alerts].reverse().map((each) => [`${each.at}${each.name}${each.told}`, () => alert(each)]));
  }

  showDecisions() {
    const newest = [...this.store.decisions].reverse();
    redrawn(this.list, newest.map((each) => [`${each.at}${each.code}`, () => this.entry(each)]),
      "Nothing was decided in this time.");
    for (const time of this.list.querySelectorAll("time")) say(time, ago(this.store.now - Number(time.dataset.at)));
    this.say(this.looksAt ?? null);
  }

  entry(decision) {
    return h("li", {}, h("button", { type: "button", onclick: () => this.lookAt(decision.at) },
      h("span", { class: "line" }, badge(decision), h("span", { class: "code" }, decision.code),
        h("time", { "data-at": decision.at, title: timeOf(decision.at) })),
      h("span", { class: "reason" }, decision.reason)));
  }

  lookAt(at) {
    const place = this.store.at.findLastIndex((each) => each <= at);
    this.charts[0].show(this.store.at[Math.max(0, place)]);
    this.say(at);
  }

  // Below the chart: what was decided at the time that the cursor is at, else what holds now.
  say(at) {
    this.looksAt = at;
    const { decisions } = this.store;
    // A bucket is named by its beginning.
    const until = at === null ? Infinity : at + this.store.step;
    const held = decisions.findLast((each) => each.at <= until);
    const when = at === null ? "Now" : timeOf(at);
    say(this.holding, held ? `${when}: ${held.code}: ${held.reason}` : `${when}: ${DASH}`);
  }

  close() {
    this.stop();
    removeEventListener("themechange", this.recolour);
    this.charts.forEach((each) => each.close());
  }
}

// From the first point on where less is known than was asked for: a service that is new fills its charts.
function stretch({ at, now }, span) {
  const known = at.length ? now - at[0] : 0;
  return [now - Math.min(span, Math.max(120, known * 1.05)), now];
}

const isChange = (decision) => decision.before !== null && decision.before !== decision.replicas;

// Running and waiting together, where both are known.
function load({ values }) {
  const { inUse = [], queueHigh = [], queueNormal = [], queueLow = [] } = values;
  return inUse.map((each, at) => {
    const queue = waiting({ queueHigh: queueHigh[at], queueNormal: queueNormal[at], queueLow: queueLow[at] });
    return each === null || queue === null ? null : each + queue;
  });
}

function badge({ before, replicas }) {
  if (before === null || before === replicas) return h("span", { class: "badge" }, `= ${replicas}`);
  const more = replicas - before;
  return h("span", { class: `badge ${more > 0 ? "out" : "in"}` }, `${more > 0 ? "▲ +" : "▼ −"}${Math.abs(more)} → ${replicas}`);
}

function alert(each) {
  const fires = each.told === "firing";
  return h("li", { class: "entry" },
    h("span", { class: "line" }, h("span", { class: `badge ${fires ? "critical" : "good"}` }, fires ? "▲ fires" : "✓ is over"),
      h("span", { class: "code" }, each.name), h("span", { class: "muted small" }, each.severity),
      h("time", { title: timeOf(each.at) }, timeOf(each.at))),
    h("span", { class: "reason" }, each.reason));
}

// Only entries that are new are made: what a person reads or has the focus on stays.
function redrawn(list, wanted, nothing) {
  const there = new Map([...list.children].map((each) => [each.dataset.key, each]));
  const next = wanted.map(([key, make]) => {
    const element = there.get(key) ?? make();
    element.dataset.key = key;
    return element;
  });
  if (!next.length && nothing) next.push(there.get("") ?? Object.assign(h("li", { class: "muted", "data-key": "" }, nothing)));
  if (next.length !== list.children.length || next.some((each, at) => list.children[at] !== each)) list.replaceChildren(...next);
}

function tiles() {
  const names = ["Replicas", "Slots in use", "Waiting", "Oldest waits", "Runs", "p95", "Errors", "Cache hits", "Tokens"];
  const cells = Object.fromEntries(names.map((each) => [each, h("dd")]));
  const element = h("dl", { class: "tiles" }, names.map((each) => h("div", { class: "tile" }, h("dt", {}, each), cells[each])));
  const update = (of) => {
    say(cells.Replicas, `${number(of.ready)} / ${number(of.desired)}`);
    say(cells["Slots in use"], `${number(of.inUse)} / ${number(of.slots)}`);
    say(cells.Waiting, number(waiting(of)));
    say(cells["Oldest waits"], seconds(of.oldest));
    say(cells.Runs, inUnit(of.arrived, "runs/s"));
    say(cells.p95, seconds(of.p95));
    say(cells.Errors, percent(of.errorRate));
    say(cells["Cache hits"], percent(of.cacheHitRate));
    say(cells.Tokens, inUnit(of.tokens, "/min"));
  };
  return { element, update };
}
