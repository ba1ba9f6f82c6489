// The API of a service, asked with the token that the person gave: the page can do what the token can.

const KEPT = "token";
const SERVICE = "Lgs-Service";
// Not `Authorization`: a proxy in front of the page may put a token of its own there.
const SENT_AS = { Authorization: "Lgs-Authorization" };
const MOST_EVENT = 8 * 2 ** 20;

export class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

export class Api {
  constructor(namespace, name) {
    this.base = `runtime/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/`;
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
    // Another service may have this name one day: of another cluster, or made anew.
    if (given.text) sessionStorage.setItem(this.key, JSON.stringify({ ...given, of: given.of ?? this.service }));
    else sessionStorage.removeItem(this.key);
  }

  async ask(method, path, body, more = {}) {
    const { kind, text, of } = await this.given(more.signal);
    const headers = { Accept: more.accept ?? "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (text) Object.assign(headers, { [SENT_AS[kind] ?? kind]: kind === "Authorization" ? `Bearer ${text}` : text, [SERVICE]: of });
    const answer = await this.fetched(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: more.signal });
    if (answer.status === 409 && text && this.service !== of) {
      sessionStorage.removeItem(this.key);
      throw new Refused(401, "another service has this name now, and the token was not given for it");
    }
    if (!answer.ok) throw new Refused(answer.status, await words(answer));
    return answer;
  }

  async fetched(path, asked) {
    try {
      // Nothing that the browser knows of its user goes along, and no answer makes it ask for a password.
      const answer = await fetch(this.base + path, { ...asked, redirect: "error", credentials: "omit" });
      this.service = answer.headers.get(SERVICE) ?? this.service;
      return answer;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "the service can't be reached");
    }
  }

  // The token, and the service that it is for: the one that is there when it is used first.
  async given(signal) {
    const token = this.token;
    if (!token.text || token.of !== undefined) return token;
    const answer = await this.fetched("info", { signal });
    if (this.service === undefined) throw new Refused(answer.status, await words(answer));
    this.token = token;
    return { ...token, of: this.service };
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
