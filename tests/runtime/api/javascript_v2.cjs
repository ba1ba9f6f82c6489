// What a page or a service in JavaScript does with the thread streams (protocol v2) of the stock client:
// `node javascript_v2.cjs URL TRANSPORT`, with `sse` or `websocket`. Prints what it saw as one JSON object; the test
// judges it.
const { Client } = require("@langchain/langgraph-sdk");
const { WebSocket } = require("ws");

const [, , apiUrl, transport] = process.argv;
const client = new Client({ apiUrl, apiKey: null });
const said = (text) => ({ messages: [{ type: "human", content: text }] });
const texts = (values) => values.messages.map((message) => message.text);

// A stream of one thread, closed after the story. Older Nodes have no WebSocket of their own.
async function streaming(assistantId, story, threadId) {
  const options = { assistantId, transport, webSocketFactory: (address) => new WebSocket(address) };
  const thread = threadId ? client.threads.stream(threadId, options) : client.threads.stream(options);
  try {
    return await story(thread);
  } finally {
    await thread.close();
  }
}

// The root's own beginnings and ends, as they come.
function watched(thread) {
  const lives = [];
  const waiting = [];
  thread.onEvent((event) => {
    if (event.method !== "lifecycle" || event.params.namespace.length > 0) return;
    lives.push(event.params.data.event);
    for (const look of [...waiting]) look();
  });
  const until = (name) => new Promise((resolve) => {
    const look = () => lives.includes(name) && resolve();
    waiting.push(look);
    look();
  });
  return { lives, until };
}

// A conversation: tokens while they come, then the state.
function chat() {
  return streaming("tutorial", async (thread) => {
    // Asked for first: of a run that ends sooner than a client asks, it drops what it has not read.
    const spoken = thread.messages;
    const { run_id: run } = await thread.run.start({ input: said("Hi, I am Ada.") });
    const tokens = [];
    for await (const message of spoken) for await (const token of message.text) tokens.push(token);
    return { run: (await client.runs.get(thread.threadId, run)).status, tokens, messages: texts(await thread.output) };
  });
}

// What one thread puts into the store, another finds.
async function remember() {
  const ask = (input) => streaming("tutorial_with_store", async (thread) => {
    await thread.run.start({ input });
    return texts(await thread.output).at(-1);
  });
  return { told: await ask({ ...said("My name is Ada."), name: "Ada" }), asked: await ask(said("Who am I?")) };
}

// A person answers the question of a graph, and the thread goes on.
function interrupt() {
  return streaming("asks", async (thread) => {
    const { lives, until } = watched(thread);
    await thread.run.start({ input: {} });
    await until("interrupted");
    // The client may hear of the question by another stream than of the interruption.
    while (!thread.interrupts.length) await new Promise((later) => setTimeout(later, 20));
    const asked = thread.interrupts.map((one) => one.payload);
    const [{ interruptId, namespace }] = thread.interrupts;
    await thread.input.respond({ interrupt_id: interruptId, namespace, response: "this" });
    await until("completed");
    const state = await client.threads.getState(thread.threadId);
    return { asked, lives, steps: state.values.steps };
  });
}

// A run that takes too long is stopped, and what is said next is no answer to anything.
async function cancel() {
  const { thread_id: id } = await client.threads.create();
  const stopped = await streaming("slow", async (thread) => {
    const { lives, until } = watched(thread);
    const { run_id: run } = await thread.run.start({ input: { text: id } });
    await until("running");
    while (!(await client.threads.getState(id)).values.steps?.length) await new Promise((later) => setTimeout(later, 20));
    await client.runs.cancel(id, run, true);
    const output = await thread.output;
    return { lives, interrupted: thread.interrupted, interrupts: thread.interrupts.length, output: output ?? null };
  }, id);
  const next = await streaming("steps", async (thread) => {
    const { until } = watched(thread);
    await thread.run.start({ input: {} });
    await until("completed");
    return (await client.threads.getState(id)).values.steps;
  }, id);
  return { ...stopped, next };
}

async function main() {
  const seen = {};
  for (const story of [chat, remember, interrupt, cancel]) seen[story.name] = await story();
  console.log(JSON.stringify(seen));
}

main().then(() => process.exit(0), (wrong) => { console.error(wrong); process.exit(1); });
