// The page: which view an address is of, and what all views share. An address is `#/namespace/name/…`.

import { fill, h, path } from "./dom.js";
import { services } from "./services.js";
import { service } from "./service.js";
import { session } from "./session.js";
import { sessions } from "./sessions.js";

const main = document.getElementById("main");
let close = () => {};
let before = null;

function route() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decoded);
  const address = parts.join("/");
  if (address === before) return;
  close();
  main.replaceChildren();
  crumbs(parts);
  document.title = [...parts.slice(1), "LangGraphService"].join(" · ");
  close = view(parts);
  // A new view begins at its top, also for who does not see it. The first one leaves the focus where it is.
  if (before !== null) main.focus({ preventScroll: false });
  before = address;
}

function view([namespace, name, kind, id]) {
  if (name === undefined) return services(main);
  main.append(tabs(namespace, name, kind));
  if (kind !== "sessions") return service(main, namespace, name);
  return id === undefined ? sessions(main, namespace, name) : session(main, namespace, name, id);
}

function tabs(namespace, name, kind) {
  const tab = (words, href, isHere) => h("a", { href, "aria-current": isHere && "page" }, words);
  return h("nav", { class: "tabs", "aria-label": name },
    tab("Scaling", path(namespace, name), kind !== "sessions"), tab("Sessions", path(namespace, name, "sessions"), kind === "sessions"));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function crumbs(parts) {
  const [namespace, name] = parts;
  const here = name === undefined
    ? [h("span", { "aria-current": "page" }, "Services")]
    : [h("a", { href: "#/" }, "Services"), h("span", { class: "muted", "aria-hidden": "true" }, "/"),
      h("a", { href: path(namespace, name), "aria-current": "page" }, name)];
  fill(document.getElementById("crumbs"), here);
}

const THEMES = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };

function theme() {
  const button = document.getElementById("theme");
  let chosen = localStorage.getItem("theme");
  if (!Object.hasOwn(THEMES, chosen ?? "")) chosen = "auto";
  const show = () => {
    document.documentElement.dataset.theme = chosen;
    button.textContent = THEMES[chosen];
    button.setAttribute("aria-label", `Colours: ${chosen}`);
    dispatchEvent(new Event("themechange"));
  };
  button.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    chosen = names[(names.indexOf(chosen) + 1) % names.length];
    localStorage.setItem("theme", chosen);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", route);
theme();
route();
