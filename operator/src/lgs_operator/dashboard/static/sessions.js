// The sessions of a service: found by id, metadata and status, a page at a time, however many there are.

import { Api } from "./api.js";
import { DASH, fill, h, moment, path } from "./dom.js";
import { tokenForm, trouble } from "./token.js";

const PAGE = 50;
const STATUSES = ["", "idle", "busy", "interrupted", "error"];

export function sessions(main, namespace, name) {
  const api = new Api(namespace, name);
  let offset = 0;
  let asked = new AbortController();
  const find = h("input", { type: "search", placeholder: "id, graph, or field=value", "aria-label": "Find sessions by id, by graph, or by field=value of their metadata" });
  const status = h("select", { "aria-label": "Status" }, STATUSES.map((each) => h("option", { value: each }, each || "any status")));
  const sort = h("select", { "aria-label": "Order" },
    [["updated_at desc", "last changed first"], ["created_at desc", "newest first"], ["created_at asc", "oldest first"]].map(([value, words]) => h("option", { value }, words)));
  const problem = h("p", { class: "notice", role: "alert", hidden: true });
  const form = tokenForm(api, () => load());
  const body = h("tbody");
  const place = h("p", { class: "muted small", role: "status" });
  const before = h("button", { type: "button", class: "action", onclick: () => turn(-PAGE) }, "← Before");
  const next = h("button", { type: "button", class: "action", onclick: () => turn(PAGE) }, "Next →");
  const table = h("table", { class: "list" },
    h("thead", {}, h("tr", {}, ["Session", "Status", "Graph", "Metadata", "Changed"].map((each) => h("th", { scope: "col" }, each)))), body);
  main.append(h("div", { class: "bar" }, find, status, sort, h("span", { class: "space" }), form), problem,
    h("div", { class: "panel scroll-x", tabindex: "0", role: "region", "aria-label": "Sessions" }, table), h("div", { class: "bar" }, before, next, place));

  let timer;
  const anew = () => { clearTimeout(timer); timer = setTimeout(() => { offset = 0; load(); }, 250); };
  find.addEventListener("input", anew);
  status.addEventListener("change", anew);
  sort.addEventListener("change", anew);

  function turn(by) {
    offset = Math.max(0, offset + by);
    load();
  }

  async function load() {
    // What nobody waits for any more keeps none of the browser's few connections.
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    const [sort_by, sort_order] = sort.value.split(" ");
    const wanted = query(find.value, status.value);
    try {
      const [count, found] = await Promise.all([
        wanted.ids ? null : api.post("threads/count", wanted, { signal }),
        api.post("threads/search", { ...wanted, limit: PAGE, offset, sort_by, sort_order, select: ["thread_id", "status", "metadata", "created_at", "updated_at"] }, { signal }),
      ]);
      if (signal.aborted) return;
      trouble(problem, form, null);
      const total = count ?? found.length;
      fill(body, found.length ? found.map((each) => row(namespace, name, each)) : h("tr", {}, h("td", { colspan: 5, class: "muted" }, "No session is like that.")));
      place.textContent = total ? `${offset + 1} to ${offset + found.length} of ${total.toLocaleString()}` : "";
      before.disabled = offset === 0;
      next.disabled = offset + found.length >= total;
    } catch (error) {
      if (!signal.aborted) trouble(problem, form, error);
    }
  }
  load();
  return () => { asked.abort(); clearTimeout(timer); };
}

const ID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

// What is asked for: an id, fields of metadata, or else the name of a graph.
export function query(words, status) {
  const wanted = status ? { status } : {};
  const text = words.trim();
  if (!text) return wanted;
  if (!text.includes("=")) return ID.test(text) ? { ...wanted, ids: [text] } : { ...wanted, metadata: { graph_id: text } };
  const metadata = {};
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const [field, ...rest] = part.split("=");
    if (field) metadata[field] = value(rest.join("="));
  }
  return { ...wanted, metadata };
}

function value(text) {
  if (/^(?:true|false|null|-?\d+(?:\.\d+)?)$/.test(text)) return JSON.parse(text);
  return text;
}

function row(namespace, name, thread) {
  const { graph_id: graph, assistant_id: _, ...metadata } = thread.metadata ?? {};
  return h("tr", {},
    h("td", {}, h("a", { href: path(namespace, name, "sessions", thread.thread_id), class: "mono" }, thread.thread_id)),
    h("td", {}, statusPill(thread.status)), h("td", {}, graph ?? DASH),
    h("td", { class: "cut" }, Object.entries(metadata).map(([key, each]) => `${key}=${typeof each === "object" ? JSON.stringify(each) : each}`).join(" ") || DASH),
    h("td", {}, h("time", { datetime: thread.updated_at }, moment(thread.updated_at))));
}

const LOOKS = {
  idle: ["unknown", "○"], busy: ["busy", "▶"], interrupted: ["warning", "?"], error: ["critical", "▲"], pending: ["unknown", "…"], running: ["busy", "▶"],
  success: ["good", "✓"], timeout: ["critical", "▲"], cancelled: ["unknown", "×"],
};

export function statusPill(status) {
  const [look, icon] = Object.hasOwn(LOOKS, status) ? LOOKS[status] : ["unknown", "·"];
  return h("span", { class: `pill ${look}` }, h("span", { "aria-hidden": "true" }, icon), String(status));
}
