// Elements and words. Whatever comes from outside becomes text here, never markup: nothing of this page reads HTML.

export function h(tag, given = {}, ...children) {
  return filled(document.createElement(tag), given, children);
}

export function svg(tag, given = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), given, children);
}

function filled(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

// Only where the words are others: a screen reader is not told the same again, and a selection stays.
export function say(element, words) {
  const text = String(words);
  if (element.textContent !== text) element.textContent = text;
}

export const DASH = "–";

export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return DASH;
  const size = Math.abs(value);
  if (size >= 1e6) return `${trimmed(value / 1e6, digits)} M`;
  if (size >= 1e4) return `${trimmed(value / 1e3, digits)} k`;
  return trimmed(value, digits);
}

function trimmed(value, digits) {
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(digits)));
}

export function seconds(value) {
  if (value === null || value === undefined) return DASH;
  if (value === 0) return "0 s";
  if (value < 1) return `${trimmed(value * 1000, 3)} ms`;
  if (value < 120) return `${trimmed(value, 3)} s`;
  if (value < 7200) return `${trimmed(value / 60, 2)} min`;
  return `${trimmed(value / 3600, 2)} h`;
}

export function percent(value) {
  return value === null || value === undefined ? DASH : `${trimmed(value * 100, 3)} %`;
}

export function inUnit(value, unit) {
  if (unit === "s") return seconds(value);
  if (unit === "share") return percent(value);
  if (value === null || value === undefined) return DASH;
  return unit.includes("/") ? `${number(value)} ${unit}` : number(value);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dated = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function timeOf(at) {
  return clock.format(new Date(at * 1000));
}

export function moment(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? String(text) : dated.format(date);
}

export function ago(secondsAgo) {
  if (secondsAgo < 1.5) return "just now";
  if (secondsAgo < 90) return `${Math.round(secondsAgo)} s ago`;
  if (secondsAgo < 5400) return `${Math.round(secondsAgo / 60)} min ago`;
  if (secondsAgo < 129600) return `${Math.round(secondsAgo / 3600)} h ago`;
  return `${Math.round(secondsAgo / 86400)} days ago`;
}

export function path(...parts) {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}
