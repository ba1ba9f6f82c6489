// The graph as LangGraph gives it (get_graph), laid out by dagre: what runs now, what waits, what has run.

import { Graph, layout } from "./vendor/dagre.js";
import { fill, h, svg } from "./dom.js";

const ENDS = new Set(["__start__", "__end__"]);

export function drawing({ nodes, edges }) {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 26, ranksep: 34, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id } of nodes) {
    const name = String(id);
    graph.setNode(name, { width: ENDS.has(name) ? 64 : Math.min(240, name.length * 7.4 + 34), height: ENDS.has(name) ? 26 : 36 });
  }
  edges.forEach(({ source, target, conditional }, at) => {
    if (graph.hasNode(String(source)) && graph.hasNode(String(target))) graph.setEdge(String(source), String(target), { conditional }, String(at));
  });
  layout(graph);
  const { width, height } = graph.graph();
  const groups = new Map();
  const picture = svg("svg", { class: "graph", viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`, role: "img", "aria-label": "The graph" },
    svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" },
      svg("path", { d: "M0 0L8 4L0 8z" }))),
    graph.edges().map((edge) => {
      const { points, conditional } = graph.edge(edge);
      return svg("path", { class: conditional ? "edge conditional" : "edge", d: line(points), "marker-end": "url(#arrow)" });
    }),
    graph.nodes().map((name) => {
      const { x, y, width: wide, height: high } = graph.node(name);
      const group = svg("g", { class: `node ${ENDS.has(name) ? "end" : ""}`, transform: `translate(${x - wide / 2} ${y - high / 2})` },
        svg("title", {}, name),
        svg("rect", { width: wide, height: high, rx: ENDS.has(name) ? 13 : 8 }),
        svg("text", { x: wide / 2, y: high / 2 + 4.5, "text-anchor": "middle" }, short(name.replaceAll("_", ENDS.has(name) ? "" : "_"))));
      groups.set(name, group);
      return group;
    }));
  picture.style.setProperty("max-width", `${Math.ceil(width * 1.15)}px`);
  const words = h("p", { class: "muted small", role: "status" });
  const element = h("div", {}, picture, words);
  // `next`: what runs or waits; `status`: that of the thread; `done`: what has run.
  const show = (next, status, done) => {
    for (const [name, group] of groups) {
      const here = next.includes(name);
      group.classList.toggle("running", here && status === "busy");
      group.classList.toggle("waits", here && status !== "busy");
      group.classList.toggle("done", !here && done.has(name));
    }
    const names = next.join(", ");
    fill(words, !next.length ? "Nothing is to run." : status === "busy" ? `Runs now: ${names}` : status === "interrupted" ? `Waits for an answer: ${names}` : `Is next: ${names}`);
    picture.setAttribute("aria-label", `The graph. ${words.textContent}`);
  };
  return { element, show };
}

function short(name) {
  return name.length > 30 ? `${name.slice(0, 29)}…` : name;
}

// Through the middles between points: a line without corners.
function line([first, ...others]) {
  let path = `M${first.x} ${first.y}`;
  for (let at = 0; at < others.length - 1; at += 1) {
    const [here, next] = [others[at], others[at + 1]];
    path += `Q${here.x} ${here.y} ${(here.x + next.x) / 2} ${(here.y + next.y) / 2}`;
  }
  const last = others[others.length - 1];
  return `${path}L${last.x} ${last.y}`;
}
