// All services at a glance: those in need first.

import { DASH, fill, h, inUnit, number, path, say, seconds, svg } from "./dom.js";
import { follow } from "./live.js";

export function services(main) {
  const trouble = h("p", { class: "notice", hidden: true, role: "status" });
  const list = h("ul", { class: "cards", "aria-label": "Services" });
  const find = h("input", { type: "search", placeholder: "Find a service", "aria-label": "Find a service" });
  const finder = h("div", { class: "bar", hidden: true }, find);
  main.append(h("h1", {}, "Services"), trouble, finder, list);
  const none = h("li", { class: "empty" });
  let known = [];
  const cards = new Map();
  const show = () => {
    const words = find.value.trim().toLowerCase();
    const wanted = known.filter((each) => `${each.namespace}/${each.name}`.toLowerCase().includes(words));
    wanted.sort((one, other) => urgency(other) - urgency(one) || one.name.localeCompare(other.name));
    const shown = wanted.map((each) => {
      const key = `${each.namespace}/${each.name}`;
      if (!cards.has(key)) cards.set(key, card(each));
      cards.get(key).update(each);
      return cards.get(key).element;
    });
    say(none, known.length ? "None is called so." : "No service is known yet.");
    if (!shown.length) shown.push(none);
    // An element that stays keeps its focus.
    if (shown.length !== list.children.length || shown.some((each, at) => list.children[at] !== each)) fill(list, shown);
  };
  find.addEventListener("input", show);
  return follow("api/events", (data) => {
    known = data.services;
    finder.hidden = known.length < 8;
    trouble.hidden = !data.trouble;
    say(trouble, data.trouble ?? "");
    show();
  });
}

export function stateOf(service) {
  const { values } = service;
  if (values.alertsFiring > 0) return ["critical", `${number(values.alertsFiring)} alert${values.alertsFiring > 1 ? "s" : ""}`];
  if (values.budgetsUsedUp > 0) return ["critical", "budget used up"];
  if (values.circuitsOpen > 0) return ["critical", "circuit open"];
  if (values.ready === 0) return ["critical", "no replica ready"];
  if (values.errorRate > 0.05) return ["warning", "runs fail"];
  if (values.rejected > 0) return ["warning", "queue full"];
  if (values.desired !== null && values.ready !== null && values.ready < values.desired) return ["busy", "scaling out"];
  if (values.ready === null || values.ready === undefined) return ["unknown", "unknown"];
  return ["good", "healthy"];
}

const RANK = { critical: 4, warning: 3, busy: 2, unknown: 1, good: 0 };
const urgency = (service) => RANK[stateOf(service)[0]];

export function pill([state, words]) {
  const icon = { critical: "▲", warning: "!", busy: "↑", unknown: "?", good: "✓" }[state];
  return h("span", { class: `pill ${state}` }, h("span", { "aria-hidden": "true" }, icon), words);
}

function card(service) {
  const state = h("span");
  const line = svg("svg", { class: "spark", viewBox: "0 0 120 28", preserveAspectRatio: "none", "aria-hidden": "true" });
  const cells = Object.fromEntries(["Replicas", "Slots in use", "Waiting", "p95", "Errors"].map((name) => [name, h("dd")]));
  const why = h("p", { class: "why" });
  const element = h("li", { class: "card" },
    h("a", { href: path(service.namespace, service.name), class: "cover" },
      h("span", { class: "name" }, service.name), h("span", { class: "muted small" }, service.namespace)),
    state, line,
    h("dl", { class: "facts" }, Object.entries(cells).map(([name, cell]) => h("div", {}, h("dt", {}, name), cell))), why);
  const update = ({ values, decision, spark, ...rest }) => {
    const next = pill(stateOf({ values, ...rest }));
    if (state.textContent !== next.textContent) fill(state, next);
    say(cells.Replicas, `${number(values.ready)} of ${number(values.desired)}`);
    say(cells["Slots in use"], `${number(values.inUse)} of ${number(values.slots)}`);
    say(cells.Waiting, number(waiting(values)));
    say(cells.p95, seconds(values.p95));
    say(cells.Errors, inUnit(values.errorRate, "share"));
    say(why, decision ? decision.reason : DASH);
    draw(line, spark ?? []);
  };
  return { element, update };
}

export function waiting(values) {
  const parts = [values.queueHigh, values.queueNormal, values.queueLow].filter((each) => typeof each === "number");
  return parts.length ? parts.reduce((sum, each) => sum + each, 0) : null;
}

function draw(element, values) {
  const most = Math.max(1, ...values.filter((each) => each !== null));
  const step = 120 / Math.max(1, values.length - 1);
  const points = values.flatMap((each, at) => (each === null ? [] : [`${(at * step).toFixed(1)},${(26 - (each / most) * 24).toFixed(1)}`]));
  fill(element, points.length > 1 && svg("polyline", { points: points.join(" "), fill: "none", "vector-effect": "non-scaling-stroke" }));
}
