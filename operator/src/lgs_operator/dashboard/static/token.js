// The token that the API asks for, where it asks for one.

import { h } from "./dom.js";

export function tokenForm(api, again) {
  const given = api.token;
  const kind = h("select", { "aria-label": "How it is sent" },
    h("option", { value: "X-Api-Key" }, "API key"), h("option", { value: "Authorization" }, "Bearer token"));
  kind.value = given.kind;
  const text = h("input", { type: "password", "aria-label": "Token", autocomplete: "off", placeholder: "Token", value: given.text });
  const form = h("form", { class: "bar", onsubmit: (event) => {
    event.preventDefault();
    api.token = { kind: kind.value, text: text.value.trim() };
    again();
  } }, kind, text, h("button", { type: "submit", class: "action" }, "Use it"),
  h("span", { class: "muted small" }, "Kept in this tab alone. What you may see and do is what this token may."));
  return h("details", { class: "token", open: false }, h("summary", {}, given.text ? "Token: given" : "Token"), form);
}

// What went wrong, in words; for a refusal the form is opened.
export function trouble(element, form, error) {
  element.hidden = !error;
  if (!error) return;
  const asked = error.status === 401 || error.status === 403;
  element.textContent = asked ? `${error.status === 401 ? "The API asks who you are" : "You may not do that"}: ${error.message}` : `${error.message}${error.status ? ` (${error.status})` : ""}`;
  if (asked) form.open = true;
}
