// A stream of events that says when it is silent. The browser connects anew by itself.

const shown = () => document.getElementById("live");

// `refused` is told why where the server has an answer but no stream, as for a service that is not there.
export function follow(url, got, refused = () => {}) {
  let source;
  let timer;
  let asked;
  const stop = () => {
    asked?.abort();
    clearTimeout(timer);
    source?.close();
  };
  const begin = () => {
    stop();
    source = new EventSource(url);
    say("connecting…", "wait");
    source.onmessage = (event) => {
      say("live", "on");
      got(JSON.parse(event.data));
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {
        // Refused, or gone for good: tried again, more slowly.
        say("not connected: it is tried again", "off");
        asked = new AbortController();
        why(url, asked.signal).then((words) => words && refused(words));
        timer = setTimeout(begin, 3000);
      } else say("not connected: what you see is the last that was known", "off");
    };
  };
  // A browser has six connections to one host for all of its tabs: one that nobody looks at keeps none.
  const seen = () => (document.hidden ? stop() : begin());
  document.addEventListener("visibilitychange", seen);
  seen();
  return () => {
    document.removeEventListener("visibilitychange", seen);
    stop();
    say("", "");
  };
}

// An EventSource tells nothing of an answer that is no stream.
async function why(url, signal) {
  try {
    const answer = await fetch(url, { signal });
    return answer.ok ? "" : (await answer.text()).trim();
  } catch {
    return "";
  }
}

function say(words, state) {
  const element = shown();
  if (element.textContent !== words) element.textContent = words;
  element.dataset.state = state;
}
