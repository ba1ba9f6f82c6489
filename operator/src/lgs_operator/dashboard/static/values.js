// Values of any shape as text that can be opened and closed, and conversations as such.

import { DASH, h, say } from "./dom.js";

const MOST = 100;
const LONG = 1500;

export function tree(value, open = 1) {
  if (value === null || typeof value !== "object") return scalar(value);
  const entries = Array.isArray(value) ? value.map((each, at) => [at, each]) : Object.entries(value);
  if (!entries.length) return h("span", { class: "muted" }, Array.isArray(value) ? "[]" : "{}");
  const list = h("ul", { class: "tree" });
  const more = (from) => {
    list.append(...entries.slice(from, from + MOST).map(([key, each]) => entry(key, each, open)));
    if (entries.length > from + MOST) {
      const button = h("button", { type: "button", class: "quiet", onclick: () => { button.parentElement.remove(); more(from + MOST); } },
        `${entries.length - from - MOST} more`);
      list.append(h("li", {}, button));
    }
  };
  more(0);
  return list;
}

function entry(key, value, open) {
  const name = h("span", { class: "name" }, String(key));
  if (value === null || typeof value !== "object") return h("li", {}, name, ": ", scalar(value));
  const size = Array.isArray(value) ? `${value.length} items` : `${Object.keys(value).length} fields`;
  // What is closed is made when it is opened: a state may be large.
  const details = h("details", { open: open > 0 }, h("summary", {}, name, h("span", { class: "muted small" }, ` ${size}`)));
  const make = () => { if (details.children.length === 1) details.append(tree(value, open - 1)); };
  if (open > 0) make();
  details.addEventListener("toggle", make);
  return h("li", {}, details);
}

function scalar(value) {
  if (typeof value !== "string") return h("span", { class: "scalar" }, String(value));
  if (value.length <= LONG) return h("span", { class: "string" }, value || DASH);
  const text = h("span", { class: "string" }, `${value.slice(0, LONG)}…`);
  const button = h("button", { type: "button", class: "quiet", onclick: () => { say(text, value); button.remove(); } }, `all ${value.length} characters`);
  return h("span", {}, text, " ", button);
}

const SAYS = { human: "person", user: "person", ai: "assistant", assistant: "assistant", tool: "tool", system: "system" };

export function isConversation(value) {
  return Array.isArray(value) && value.length > 0 && value.every((each) => each && typeof each === "object" && ("type" in each || "role" in each) && "content" in each);
}

export function conversation(messages) {
  const shown = messages.slice(-MOST);
  return h("div", {},
    messages.length > shown.length && h("p", { class: "muted small" }, `${messages.length - shown.length} earlier messages are in the values below.`),
    h("ol", { class: "messages", tabindex: "0", "aria-label": "Conversation" }, shown.map((each) => {
      const who = SAYS[each.type ?? each.role] ?? String(each.type ?? each.role);
      return h("li", { class: `message ${who}` }, h("span", { class: "who" }, each.name ? `${who}: ${each.name}` : who),
        h("span", { class: "said" }, contentOf(each.content) || (each.tool_calls?.length ? "" : DASH)),
        (each.tool_calls ?? []).map((call) => h("details", {}, h("summary", {}, `calls ${call.name}`), tree(call.args ?? {}))));
    })));
}

function contentOf(content) {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map((each) => (typeof each === "string" ? each : each?.text ?? `[${each?.type ?? "part"}]`)).join("\n");
  return JSON.stringify(content);
}
