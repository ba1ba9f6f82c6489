// A stream of events that says when it is silent. The browser connects anew by itself.

const shown = () => document.getElementById("live");

export function follow(url, got) {
  const source = new EventSource(url);
  say("connecting…", "wait");
  source.onmessage = (event) => {
    say("live", "on");
    got(JSON.parse(event.data));
  };
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) {
      // Refused, or gone for good: tried again, more slowly.
      say("not connected: it is tried again", "off");
      timer = setTimeout(() => { stop(); stop = follow(url, got); }, 3000);
    } else say("not connected: what you see is the last that was known", "off");
  };
  let timer;
  let stop = () => { clearTimeout(timer); source.close(); };
  return () => { stop(); say("", ""); };
}

function say(words, state) {
  const element = shown();
  if (element.textContent !== words) element.textContent = words;
  element.dataset.state = state;
}
