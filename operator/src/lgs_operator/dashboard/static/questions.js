// What a graph asks a person (an interrupt), and a form for the answer.

import { h } from "./dom.js";
import { tree } from "./values.js";

const KINDS = [["text", "text"], ["json", "JSON"], ["true", "yes"], ["false", "no"]];

// `interrupts` by task, as the thread has them; `send` gives whether the answer was taken. Null: nothing is asked.
export function questions(interrupts, send) {
  const asked = Object.values(interrupts).flat().filter((each) => each && typeof each === "object");
  if (!asked.length) return null;
  const answers = asked.map(question);
  const wrong = h("p", { class: "wrong", role: "alert" });
  const button = h("button", { type: "submit", class: "action main" }, asked.length > 1 ? "Answer all" : "Answer");
  return h("form", { onsubmit: async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    try {
      const given = answers.map((each) => each.read());
      const all = asked.every((each) => each.id);
      const resume = all ? Object.fromEntries(asked.map((each, at) => [each.id, given[at]])) : given[0];
      button.disabled = true;
      if (!await send(resume)) button.disabled = false;
    } catch (error) {
      wrong.textContent = error.message;
    }
  } }, h("h2", {}, asked.length > 1 ? `It asks ${asked.length} questions` : "It asks"), answers.map((each) => each.element), wrong, button);
}

function question(asked, at) {
  const { value } = asked;
  const actions = value?.action_requests;
  const inside = Array.isArray(actions) ? approvals(actions, value.review_configs ?? [], at) : free(at);
  return { element: h("fieldset", {}, h("legend", { class: "muted small" }, `Question ${at + 1}`), h("div", { class: "question" }, Array.isArray(actions) ? null : tree(value, 2)), inside.element), read: inside.read };
}

function free(at) {
  const text = h("textarea", { rows: 3, id: `answer-${at}` });
  const kind = h("select", { "aria-label": "What the answer is" }, KINDS.map(([value, words]) => h("option", { value }, words)));
  kind.addEventListener("change", () => { text.hidden = kind.value === "true" || kind.value === "false"; });
  const read = () => {
    if (kind.value === "text") return text.value;
    if (kind.value !== "json") return kind.value === "true";
    try {
      return JSON.parse(text.value);
    } catch (error) {
      throw new Error(`Question ${at + 1}: that is no JSON: ${error.message}`);
    }
  };
  return { element: h("div", {}, h("label", { for: `answer-${at}` }, "Answer"), " ", kind, text), read };
}

// Tool calls that LangChain's HumanInTheLoopMiddleware wants approved.
function approvals(actions, configs, at) {
  const choices = actions.map((action, place) => {
    const allowed = configs.find((each) => each?.action_name === action.name)?.allowed_decisions ?? ["approve", "reject"];
    const choice = h("select", { "aria-label": `Decision on ${action.name}` }, allowed.filter((each) => each !== "edit").map((each) => h("option", { value: each }, each)));
    const why = h("input", { type: "text", "aria-label": `Why, for ${action.name}`, placeholder: "why (if rejected)", id: `why-${at}-${place}` });
    return {
      element: h("div", { class: "action-request" }, h("strong", {}, String(action.name)), action.description && h("p", {}, String(action.description)), tree(action.args ?? action.arguments ?? {}, 2), h("div", { class: "bar" }, choice, why)),
      read: () => (choice.value === "reject" && why.value ? { type: "reject", message: why.value } : { type: choice.value }),
    };
  });
  return { element: h("div", {}, choices.map((each) => each.element)), read: () => ({ decisions: choices.map((each) => each.read()) }) };
}
