// What a page or a service in JavaScript does with the stock client: `node javascript.cjs URL`, NODE_PATH naming the
// folder of its packages. Prints what it saw as one JSON object; the test judges it.
const { Client } = require("@langchain/langgraph-sdk");

const client = new Client({ apiUrl: process.argv[2], apiKey: null });
const said = (text) => ({ messages: [{ type: "human", content: text }] });

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

const names = (events) => [...new Set(events.map((event) => event.event))].sort();

// A conversation over two runs, streamed in every mode.
async function chat() {
  const { thread_id: thread } = await client.threads.create({ metadata: { from: "javascript" } });
  const streamMode = ["values", "updates", "messages", "messages-tuple", "tasks", "checkpoints", "debug", "events", "custom"];
  const first = await all(client.runs.stream(thread, "tutorial", { input: said("Hi, I am Ada."), streamMode }));
  const tokens = await all(client.runs.stream(thread, "tutorial", { input: said("Who am I?"), streamMode: "messages-tuple" }));
  const state = await client.threads.getState(thread);
  const history = await client.threads.getHistory(thread, { limit: 100 });
  const found = await client.threads.search({ metadata: { from: "javascript" } });
  return {
    modes: names(first),
    tokens: tokens.filter((event) => event.event === "messages").map((event) => event.data[0].content),
    messages: state.values.messages.map((message) => message.content),
    history: history.length,
    found: found.map((one) => one.thread_id === thread),
  };
}

// What one thread puts into the store, another finds.
async function remember() {
  const input = { ...said("My name is Ada."), name: "Ada" };
  await client.runs.wait(null, "tutorial_with_store", { input });
  const other = await client.runs.wait(null, "tutorial_with_store", { input: said("Who am I?") });
  const item = await client.store.getItem(["people"], "name");
  await client.store.putItem(["people", "more"], "age", { years: 36 });
  const items = await client.store.searchItems(["people"], {});
  await client.store.deleteItem(["people", "more"], "age");
  return {
    answer: other.messages.at(-1).content,
    item: item.value,
    found: items.items.map((one) => one.key).sort(),
    gone: await client.store.getItem(["people", "more"], "age"),
  };
}

// A stream that breaks goes on where it was.
async function resume() {
  const { thread_id: thread } = await client.threads.create();
  const run = await client.runs.create(thread, "tutorial", {
    input: said("Hi"), streamMode: ["values", "updates"], streamResumable: true,
  });
  const whole = await all(client.runs.joinStream(thread, run.run_id, { lastEventId: "-1" }));
  const at = whole[1].id;
  const rest = await all(client.runs.joinStream(thread, run.run_id, { lastEventId: at }));
  await client.runs.join(thread, run.run_id);
  return { whole: whole.map((event) => event.id), at, rest: rest.map((event) => event.id) };
}

// A person answers the question of a graph.
async function interrupt() {
  const { thread_id: thread } = await client.threads.create();
  await client.runs.wait(thread, "asks", { input: {} });
  const asked = await client.threads.getState(thread);
  const answered = await client.runs.wait(thread, "asks", { command: { resume: "this" } });
  return { next: asked.next, question: asked.tasks[0].interrupts[0].value, steps: answered.steps };
}

// A run that takes too long is stopped.
async function cancel() {
  const { thread_id: thread } = await client.threads.create();
  const run = await client.runs.create(thread, "slow", { input: { text: thread } });
  while ((await client.runs.get(thread, run.run_id)).status === "pending") await new Promise((next) => setTimeout(next, 20));
  await client.runs.cancel(thread, run.run_id, true);
  const stopped = await client.runs.get(thread, run.run_id);
  await client.threads.delete(thread);
  return { status: stopped.status };
}

async function main() {
  const seen = {};
  for (const story of [chat, remember, resume, interrupt, cancel]) seen[story.name] = await story();
  console.log(JSON.stringify(seen));
}

main().catch((wrong) => { console.error(wrong); process.exit(1); });
