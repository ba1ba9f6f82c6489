// One session: its state, what runs now, its versions and runs, and the questions that it waits with.

import { Api } from "./api.js";
import { fill, h, moment, say } from "./dom.js";
import { drawing } from "./graph.js";
import { questions } from "./questions.js";
import { statusPill } from "./sessions.js";
import { tokenForm, trouble } from "./token.js";
import { conversation, isConversation, tree } from "./values.js";
import { versions } from "./versions.js";

const CHANNELS = ["lifecycle", "updates", "tasks", "input", "custom"];
const MOST_EVENTS = 200;

export function session(main, namespace, name, thread) {
  const view = new Session(main, new Api(namespace, name), thread);
  view.begin();
  return () => view.close();
}

class Session {
  constructor(main, api, id) {
    this.api = api;
    this.path = `threads/${encodeURIComponent(id)}`;
    this.done = new Set();
    this.status = h("span");
    this.problem = h("p", { class: "notice", role: "alert", hidden: true });
    this.form = tokenForm(api, () => this.again());
    this.asked = h("section", { class: "panel ask", hidden: true });
    this.graph = h("div", {}, h("p", { class: "muted" }, "…"));
    this.said = h("div");
    this.values = h("div");
    this.runs = h("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "Runs" });
    this.versions = versions(api, this.path, (error) => this.failed(error), () => this.refresh());
    this.events = h("ol", { class: "events" });
    this.audit = h("ol", { class: "events" });
    const panel = (title, ...inside) => h("section", { class: "panel" }, h("h2", {}, title), inside);
    main.append(
      h("div", { class: "head" }, h("h1", { class: "mono" }, id), this.status, h("span", { class: "space" }), this.form), this.problem, this.asked,
      h("div", { class: "split" },
        h("div", { class: "column" }, panel("Graph", this.graph), panel("What happens", h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Events" }, this.events))),
        h("div", { class: "column" }, panel("State", this.said, this.values), panel("Runs", this.runs), panel("Versions", this.versions.element),
          panel("Audit trail", h("details", { ontoggle: (event) => event.target.open && this.readAudit() }, h("summary", {}, "Who did what"), this.audit)))));
  }

  begin() {
    this.closed = new AbortController();
    this.refresh();
    this.follow();
    // What no event tells of: a run that another replica took over, a state that was changed by hand.
    this.timer = setInterval(() => this.refresh(), 2000);
  }

  again() {
    this.close();
    this.begin();
  }

  close() {
    clearInterval(this.timer);
    clearTimeout(this.soon);
    this.closed.abort();
  }

  failed(error) {
    if (error?.name !== "AbortError") trouble(this.problem, this.form, error);
  }

  async refresh() {
    if (this.reading || document.hidden) return;
    this.reading = true;
    const { signal } = this.closed;
    try {
      const [thread, state, runs] = await Promise.all([
        this.api.get(this.path, { signal }), this.api.get(`${this.path}/state`, { signal }), this.api.get(`${this.path}/runs?limit=20`, { signal }),
      ]);
      trouble(this.problem, this.form, null);
      await this.show(thread, state, runs);
    } catch (error) {
      this.failed(error);
    } finally {
      this.reading = false;
    }
  }

  async show(thread, state, runs) {
    if (this.status.textContent !== statusPill(thread.status).textContent) fill(this.status, statusPill(thread.status));
    const assistant = runs[0]?.assistant_id ?? thread.metadata?.assistant_id ?? thread.metadata?.graph_id;
    await this.draw(assistant);
    if (changed(this, "keptCheckpoint", state.checkpoint_id)) await this.readSteps(runs[0]?.run_id);
    this.drawn?.show(state.next ?? [], thread.status, this.done);
    // What is opened, or selected, stays as it is while nothing changes.
    if (changed(this, "kept", [state.checkpoint_id, state.values])) {
      const { messages, ...others } = state.values && typeof state.values === "object" && !Array.isArray(state.values) ? state.values : { values: state.values };
      fill(this.said, isConversation(messages) && conversation(messages));
      const last = this.said.querySelector(".messages");
      if (last) last.scrollTop = last.scrollHeight;
      fill(this.values, tree(isConversation(messages) ? { ...others, messages } : state.values, isConversation(messages) ? 0 : 1));
    }
    if (changed(this, "keptRuns", runs.map((each) => [each.run_id, each.status, each.attempt, each.version]))) {
      fill(this.runs, runs.length ? runTable(runs) : h("p", { class: "muted" }, "It has had no run."));
      this.versions.read();
    }
    if (changed(this, "keptQuestions", thread.interrupts)) {
      const form = questions(thread.interrupts ?? {}, (resume) => this.answer(assistant, resume));
      this.asked.hidden = !form;
      fill(this.asked, form);
    }
  }

  // Which nodes the last run has come through, by its checkpoints.
  async readSteps(run) {
    const found = await this.api.get(`${this.path}/history?limit=12`, { signal: this.closed.signal });
    const steps = found.filter((each) => each.metadata?.run_id === run);
    this.done = new Set(steps.slice(1).flatMap((each) => each.next ?? []));
  }

  async draw(assistant) {
    if (!assistant || this.assistant === assistant) return;
    this.assistant = assistant;
    try {
      this.drawn = drawing(await this.api.get(`assistants/${encodeURIComponent(assistant)}/graph`, { signal: this.closed.signal }));
      fill(this.graph, this.drawn.element);
    } catch (error) {
      if (error.name !== "AbortError") fill(this.graph, h("p", { class: "muted" }, `The graph can't be drawn: ${error.message}`));
    }
  }

  async answer(assistant, resume) {
    try {
      await this.api.post(`${this.path}/runs`, { assistant_id: assistant, command: { resume } });
      trouble(this.problem, this.form, null);
      this.later();
      return true;
    } catch (error) {
      this.failed(error);
      return false;
    }
  }

  // Each event as it comes, while somebody looks; where the stream ends, or is cut, it is opened again from there.
  async follow() {
    const { signal } = this.closed;
    let since;
    while (!signal.aborted) {
      const seen = new AbortController();
      const look = () => document.hidden && seen.abort();
      document.addEventListener("visibilitychange", look);
      look();
      try {
        for await (const event of this.api.events(`${this.path}/stream/events`, { channels: CHANNELS, ...(since === undefined ? {} : { since }) }, AbortSignal.any([signal, seen.signal]))) {
          since = event.seq ?? since;
          this.note(event);
        }
      } catch (error) {
        if (signal.aborted || error.status === 401 || error.status === 403 || error.status === 404) return;
      } finally {
        document.removeEventListener("visibilitychange", look);
      }
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }

  note(event) {
    const { method, params = {} } = event;
    if (!method) return;
    const where = params.namespace?.length ? `${params.namespace.join(" / ")} · ` : "";
    const node = params.node ?? params.data?.node ?? params.data?.name;
    const inside = params.data?.values ?? params.data;
    this.events.prepend(h("li", {}, h("details", {},
      h("summary", {}, h("span", { class: "code" }, method), " ", h("span", { class: "muted" }, `${where}${node ?? params.data?.event ?? ""}`),
        params.timestamp && h("time", {}, clock(params.timestamp))),
      lazily(inside))));
    while (this.events.children.length > MOST_EVENTS) this.events.lastElementChild.remove();
    this.later();
  }

  later() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.refresh(), 300);
  }

  async readAudit() {
    try {
      const found = await this.api.get(`${this.path}/audit?limit=100`, { signal: this.closed.signal });
      fill(this.audit, found.map((each) => h("li", {}, h("span", { class: "code" }, each.what), " ", h("span", { class: "muted" }, each.who ?? "nobody who is known"), h("time", {}, moment(each.at)))));
    } catch (error) {
      this.failed(error);
    }
  }
}

function changed(of, name, value) {
  const text = JSON.stringify(value);
  if (of[name] === text) return false;
  of[name] = text;
  return true;
}

function clock(timestamp) {
  return new Date(timestamp).toLocaleTimeString();
}

function lazily(value) {
  const place = h("div");
  queueMicrotask(() => place.parentElement?.addEventListener("toggle", () => { if (!place.firstChild) place.append(tree(value, 1)); }));
  return place;
}

function runTable(runs) {
  return h("table", { class: "list" },
    h("thead", {}, h("tr", {}, ["Run", "Status", "Attempt", "Priority", "Version", "Began"].map((each) => h("th", { scope: "col" }, each)))),
    h("tbody", {}, runs.map((each) => [
      h("tr", {}, h("td", { class: "mono" }, h("span", { title: each.run_id }, `…${each.run_id.slice(-8)}`)), h("td", {}, statusPill(each.status)), h("td", {}, each.attempt ?? 0), h("td", {}, each.priority ?? ""),
        h("td", {}, each.version ?? ""), h("td", {}, h("time", {}, moment(each.created_at)))),
      each.error && h("tr", {}, h("td", { colspan: 6, class: "wrong" }, typeof each.error === "string" ? each.error : `${each.error.error ?? ""}: ${each.error.message ?? JSON.stringify(each.error)}`)),
    ])));
}
