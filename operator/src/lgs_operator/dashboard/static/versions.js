// The versions of a session: what changed in each, and the way back to one.

import { fill, h, moment } from "./dom.js";
import { tree } from "./values.js";

export function versions(api, path, failed, rolledBack) {
  const list = h("ol", { class: "versions" });
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Versions" }, list);

  let kept;

  async function read() {
    try {
      const found = await api.get(`${path}/versions?limit=50`);
      // What is opened, or about to be confirmed, stays as it is while nothing changes.
      const text = JSON.stringify(found);
      if (kept === text) return;
      kept = text;
      fill(list, found.length ? found.map((each, at) => item(each, found[at + 1], at === 0)) : h("li", { class: "muted" }, "There is none yet: each run that ends makes one."));
    } catch (error) {
      failed(error);
    }
  }

  function item(version, before, isLast) {
    const changes = h("div", { class: "changes" });
    const from = version.metadata?.rollback_from;
    const diff = before && h("button", { type: "button", class: "quiet", "aria-expanded": "false", onclick: async () => {
      const shown = changes.firstChild;
      diff.setAttribute("aria-expanded", String(!shown));
      if (shown) return changes.replaceChildren();
      try {
        fill(changes, difference(await api.get(`${path}/versions/${before.version}/diff/${version.version}`)));
      } catch (error) {
        failed(error);
      }
    } }, `Changes since ${before.version}`);
    return h("li", {},
      h("div", { class: "line" }, h("strong", {}, `Version ${version.version}`), version.description && h("span", {}, version.description),
        from && h("span", { class: "muted" }, `as ${from} was`), version.created_by && h("span", { class: "muted small" }, version.created_by), h("time", {}, moment(version.created_at))),
      h("div", { class: "bar" }, diff, !isLast && back(version.version)), changes);
  }

  // Asked twice, in the same place: nothing is lost by it, but it is seen by whoever talks there.
  function back(number) {
    const button = h("button", { type: "button", class: "quiet", onclick: async () => {
      if (!button.dataset.sure) {
        button.dataset.sure = "1";
        button.textContent = `Really go back to ${number}?`;
        setTimeout(() => { delete button.dataset.sure; button.textContent = "Go back to this"; }, 5000);
        return;
      }
      button.disabled = true;
      try {
        await api.post(`${path}/versions/${number}/rollback`, {});
        await read();
        rolledBack();
      } catch (error) {
        button.disabled = false;
        failed(error);
      }
    } }, "Go back to this");
    return button;
  }

  return { element, read };
}

function difference({ added = {}, removed = {}, changed = {} }) {
  const parts = [
    ...Object.entries(added).map(([key, value]) => h("div", { class: "added" }, h("strong", {}, `+ ${key}`), " ", tree(value, 1))),
    ...Object.entries(removed).map(([key, value]) => h("div", { class: "removed" }, h("strong", {}, `− ${key}`), " ", tree(value, 1))),
    ...Object.entries(changed).map(([key, { from, to }]) => changedValue(key, from, to)),
  ];
  return parts.length ? parts : h("p", { class: "muted" }, "The values are the same.");
}

// Of a list that only grew, what came; else both.
function changedValue(key, from, to) {
  const grew = Array.isArray(from) && Array.isArray(to) && from.length < to.length && JSON.stringify(to.slice(0, from.length)) === JSON.stringify(from);
  if (grew) return h("div", { class: "added" }, h("strong", {}, `+ ${to.length - from.length} in ${key}`), tree(to.slice(from.length), 1));
  return h("div", { class: "both" }, h("strong", {}, `± ${key}`), h("div", { class: "removed" }, tree(from, 1)), h("div", { class: "added" }, tree(to, 1)));
}
