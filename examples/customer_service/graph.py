"""The customer-service centre as one graph: each agent is a file, and this one says how they follow.

Nodes, edges and handlers are all async: a plain function is called in a thread, each time.

message ─┬─ remember
         └─ understand ─┬─ greet
                        ├─ retrieve ─┬─ reply ── check ── sent
                        │            │    └──────┤ (once)
                        │            └─ refuse   │
                        └────────────── ask_person ── hand_over: a person answers
"""

from __future__ import annotations

from customers import remember
from handover_agent import ask_person, by_waiting, hand_over
from intent_agent import CACHED, by_intent, understand, understand_without_model
from langgraph.graph import END, START, StateGraph
from quality_agent import by_faults, check
from reply_agent import greet, refuse, reply, reply_failed
from retrieval_agent import by_passages, retrieval
from state import Conversation, Question

builder = StateGraph(Conversation, input_schema=Question)
builder.add_node(remember)
builder.add_node(understand, cache_policy=CACHED, error_handler=understand_without_model)
builder.add_node("retrieve", retrieval)
builder.add_node(reply, error_handler=reply_failed)
builder.add_node(check)
builder.add_node(greet)
builder.add_node(refuse)
builder.add_node(ask_person)
builder.add_node(hand_over)

builder.add_conditional_edges(START, by_waiting, ["remember", "hand_over", "understand"])
builder.add_conditional_edges("understand", by_intent, ["ask_person", "greet", "retrieve"])
builder.add_conditional_edges("retrieve", by_passages, ["reply", "refuse", "ask_person"])
builder.add_edge("reply", "check")
builder.add_conditional_edges("check", by_faults, {"sent": END, "reply": "reply", "ask_person": "ask_person"})
builder.add_edge("ask_person", "hand_over")
graph = builder.compile(name="customer_service")
