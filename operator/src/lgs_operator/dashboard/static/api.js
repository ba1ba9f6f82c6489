// The API of a service, asked with the token that the person gave: the page can do what the token can.

const KEPT = "token";
const MOST_EVENT = 8 * 2 ** 20;

export class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

export class Api {
  constructor(namespace, name) {
    this.base = `/runtime/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/`;
    this.key = `${KEPT}:${namespace}/${name}`;
  }

  // Of this tab alone, and gone with it.
  get token() {
    try {
      return JSON.parse(sessionStorage.getItem(this.key)) ?? { kind: "X-Api-Key", text: "" };
    } catch {
      return { kind: "X-Api-Key", text: "" };
    }
  }

  set token(given) {
    if (given.text) sessionStorage.setItem(this.key, JSON.stringify(given));
    else sessionStorage.removeItem(this.key);
  }

  async ask(method, path, body, more = {}) {
    const { kind, text } = this.token;
    const headers = { Accept: more.accept ?? "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (text) headers[kind] = kind === "Authorization" ? `Bearer ${text}` : text;
    let answer;
    try {
      answer = await fetch(this.base + path, {
        method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: more.signal, redirect: "error",
        // Nothing that the browser knows of its user goes along, and no answer makes it ask for a password.
        credentials: "omit",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "the service can't be reached");
    }
    if (!answer.ok) throw new Refused(answer.status, await words(answer));
    return answer;
  }

  async get(path, more) {
    return (await this.ask("GET", path, undefined, more)).json();
  }

  async post(path, body, more) {
    return (await this.ask("POST", path, body, more)).json();
  }

  // The events of a stream, one after the other, until it ends or `signal` is aborted.
  async *events(path, body, signal) {
    const answer = await this.ask("POST", path, body, { accept: "text/event-stream", signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      if (rest.length > MOST_EVENT) throw new Refused(0, "an event is too long to be shown");
      for (const block of blocks) {
        const data = block.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
        if (data) yield JSON.parse(data);
      }
    }
  }
}

async function words(answer) {
  const text = await answer.text();
  try {
    const { detail, message, error } = JSON.parse(text);
    const said = detail ?? message ?? error ?? text;
    return typeof said === "string" ? said : JSON.stringify(said);
  } catch {
    return text.trim() || `answered ${answer.status}`;
  }
}
