"""What the agents of the customer-service centre are made of: words and their weight, the check of a draft,
the model's rhythm and faults, tokens, and what is noted of a customer.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.store.memory import InMemoryStore

from lgs_crds import parse
from support.customer_service import EXAMPLE, example

FaultFile, Faults = example.model_faults.FaultFile, example.model_faults.Faults
faults_of = example.quality_agent.faults_of
tokens = example.tokens


@given(st.text(max_size=60))
def test_any_text_has_terms_and_the_same_ones_in_capitals_and_with_other_signs(text: str) -> None:
    terms = example.ranking.terms(text)

    assert all(terms)
    assert example.ranking.terms(f"  {text}?! ") == terms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Größe der Straße?", "grosse der strasse"),
        ("café crème", "cafe creme"),
        ("cafe\u0301", "cafe"),
        ("Где моя ПОСЫЛКА?", "где моя посылка"),
        ("Πού είναι;", "που ειναι"),
        ("أين طردي؟", "أين طردي"),
        ("हिन्दी में", "हिन्दी में"),
        ("내 소포가 어디", "내 소포가 어디"),
        ("返品したい。", "返品 品し した たい"),
        ("Fernwickの返品 30日", "fernwick の返 返品 30 日"),
        ("ＡＢＣ １２", "abc 12"),
        ("it's 12.50, at 14:00", "its 12.50 at 14:00"),
        ("_a_b_", "a b"),
        (":) 👍🏽 ---", ""),
    ],
)
def test_words_of_any_language_are_words(text: str, words: str) -> None:
    assert example.ranking.tokens(text) == words.split()
    assert example.ranking.tokens(words) == words.split(), "as they are searched by"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! 3 is more? yes it is", ["One.", "Two!", "3 is more? yes it is"]),
        ("At 4.90 e.g. today. Нет. Да? да", ["At 4.90 e.g. today.", "Нет.", "Да? да"]),
        ("これは本です。返品したい。", ["これは本です。", "返品したい。"]),
        ("أين طردي؟ متى يصل؟", ["أين طردي؟", "متى يصل؟"]),
        ("  ", []),
    ],
)
def test_a_text_in_any_language_has_sentences(text: str, parts: list[str]) -> None:
    assert example.ranking.sentences(text) == parts


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "a"}', "line 2: a.text: None: must be text"),
        ('{"id": "a", "text": 7}', "line 2: a.text: 7: must be text"),
        ('{"id": "a", "text": "?!"}', "line 2: a.text: '?!': must have words"),
        ('{"id": "a", "text": "x", "also": ["y"]}', "line 2: a.also: ['y']: must be text"),
        ('{"id": "a", "text": "x", "title": null}', "line 2: a.title: None: must be text"),
        ('{"text": "x"}', "line 2: id: None: must be a name"),
        ('{"id": "first", "text": "x"}', "line 2: id: 'first': must be a name that no other"),
        ('["x"]', "line 2: id: None"),
        ("{", "line 2: Expecting property name"),
    ],
)
def test_a_handbook_with_a_passage_that_can_not_be_searched_is_refused_by_its_line(
    line: str, told: str
) -> None:
    with pytest.raises(ValueError, match=r"^book: line 2: ") as refused:
        example.handbook.read('{"id": "first", "text": "some words"}\n' + line, "book")
    assert str(refused.value).startswith(f"book: {told}")


def test_a_passage_may_have_no_more_than_its_text() -> None:
    (passage,) = example.handbook.read('{"id": "plain", "text": "Some words."}', "book").values()

    assert passage == {"title": "plain", "text": "Some words.", "topic": "", "also": "", "often": False}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("delivery", "delivered"),
        ("returning", "returns"),
        ("parcels", "package"),
        ("shipping", "shipped"),
        ("warranties", "warranty"),
        ("shelves", "shelf"),
        ("broke", "broken"),
    ],
)
def test_forms_of_a_word_are_one_term(one: str, other: str) -> None:
    assert example.ranking.terms(one) == example.ranking.terms(other)


@given(st.text(alphabet="abcde ", max_size=30), st.text(alphabet="abcdefgh ", max_size=30))
def test_a_question_is_covered_between_not_at_all_and_wholly(text: str, question: str) -> None:
    ranking = example.ranking.Ranking({"it": text, "other": "zz"})

    coverage = ranking.coverage(question, "it")

    asked, said = set(example.ranking.terms(question)), set(example.ranking.terms(text))
    assert 0.0 <= coverage <= 1.0
    assert (coverage > 0.0) == bool(asked & said)
    assert (coverage == 1.0) == (bool(asked) and asked <= said)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("When will it arrive?", " when  will it ARRIVE", True),
        ("it’s broken", "it's broken", True),
        ("хочу поговорить с человеком", "где моя посылка", False),
        ("人間と話したい", "荷物はどこですか", False),
        ("ok 👍", "ok 😡", False),
        (":)", ":(", False),
    ],
)
def test_messages_share_an_intent_only_if_they_say_the_same(one: str, other: str, alike: bool) -> None:
    def key(text: str) -> str:
        return str(example.intent_agent.same_words({"messages": [HumanMessage(text)]}))

    assert (key(one) == key(other)) is alike


@pytest.mark.parametrize(
    ("message", "matter"),
    [
        ("Hello", ""),
        ("Hi there!", ""),
        ("thank you so much", ""),
        ("Hello, how can I pay?", "how can I pay?"),
        ("hey, quick question: do you ship to Norway? thx", "do you ship to Norway?"),
        ("Thanks! And to Norway?", "And to Norway?"),
        ("Sehr geehrte Damen und Herren, where is it?\nMit freundlichen Grüßen\nAnn", "where is it?"),
        ("How can I pay? Best wishes, Ann Miller", "How can I pay?"),
        ("Hiking boots?", "Hiking boots?"),
        ("Thanks for nothing, my lamp is broken.", "Thanks for nothing, my lamp is broken."),
        ("Where are my best wishes cards", "Where are my best wishes cards"),
        ("I ordered thank you cards", "I ordered thank you cards"),
        ("dear me where is it", "dear me where is it"),
        ("", ""),
    ],
)
def test_what_a_message_is_about_is_said_without_courtesies(message: str, matter: str) -> None:
    assert example.courtesy.matter(message) == matter


@pytest.mark.parametrize(
    ("message", "left", "angry"),
    [
        ("you idiots, where is my order?", "you , where is my order?", True),
        ("Where the hell is my parcel?", "Where is my parcel?", True),
        ("You're a bunch of useless thieves! Refund me", "You're ! Refund me", True),
        ("Stupid bot!!! This fucking pan broke", "!!! This pan broke", True),
        ("shitty service, f***ing useless company", "service,", True),
        ("I am really fed up with this, cancel it", ", cancel it", True),
        ("It's a scam, I was charged twice", ", I was charged twice", True),
        ("IDIOTS", "IDIOTS", True),
        ("I was an idiot and ordered the wrong size", "and ordered the wrong size", False),
        ("Stupid question, but how do I pay?", ", but how do I pay?", False),
        ("my stupid cat broke the vase", "cat broke the vase", False),
        ("Do you sell prickly pears, foolscap paper and cheatsheets?", None, False),
        ("How do you handle complaints? My aunt is angry.", None, False),
        ("", None, False),
    ],
)
def test_an_outburst_says_how_a_customer_feels_and_not_what_about(
    message: str, left: str | None, angry: bool
) -> None:
    assert " ".join(example.anger.calm(message).split()) == (message if left is None else left)
    assert example.anger.is_outburst(message) == angry


@given(st.text(alphabet="you are idiots,!thehl\n", max_size=400))
def test_what_is_left_of_an_outburst_is_never_nothing(message: str) -> None:
    assert bool(example.anger.calm(message).strip()) == bool(message.strip())


@given(st.text(alphabet="hi ,.!\nthanksdear", max_size=400))
def test_what_is_left_of_a_message_stands_in_it(message: str) -> None:
    assert example.courtesy.matter(message) in message


def test_one_of_us_is_shown_what_waits_for_a_person_and_nothing_that_a_terminal_obeys() -> None:
    stopped = {"interrupts": {}}
    waits = {"interrupts": {"task": [{"id": "1", "value": {"customer": "ann"}}]}}

    assert example.talk.question_of(stopped) is None
    assert example.talk.question_of(waits) == {"customer": "ann"}
    assert example.talk.shown("hi\x1b]0;root\x07 é") == "hi ]0;root  é"


def test_rare_words_count_more_than_those_that_all_texts_have() -> None:
    ranking = example.ranking.Ranking({"a": "parcel late", "b": "parcel lost", "c": "parcel wet"})

    scores = ranking.scores("is my parcel lost")

    assert example.ranking.best(scores, 1) == ["b"]
    assert ranking.coverage("lost parcel", "b") == 1.0
    assert ranking.coverage("lost parcel", "a") < 0.5, "the word that matters is the one that is missing"


@pytest.mark.parametrize(
    ("draft", "fault"),
    [
        ("Gift cards are valid for 3 years.", None),
        ("Gift cards are valid for 5 years.", "it says 5: no passage has this figure"),
        ("Write to boss@fernwick.example.", "it says boss@fernwick.example: no passage has this address"),
        ("", "it is empty"),
        ("Cards " * 300, "it has 1799 characters, more than 1200"),
        ("You said: how long is a card valid", "it says nothing that the question does not"),
        ("Elephants swim across rivers happily.", "most of it is not what the passages say"),
    ],
)
def test_a_draft_is_refused_with_the_reason(draft: str, fault: str | None) -> None:
    faults = faults_of(draft.strip(), "how long is a card valid", ["Gift cards are valid for 3 years."])

    assert (fault in faults) if fault else faults == []


def test_the_same_prompt_has_the_same_rhythm_and_a_factor_makes_all_of_it_longer() -> None:
    once, again = (example.local_model.rhythm("why", 40, 1.0) for _ in range(2))
    slow, at_once = (example.local_model.rhythm("why", 40, factor) for factor in (8.0, 0.0))

    assert once == again and once != example.local_model.rhythm("how", 40, 1.0)
    assert 0.5 < once.whole < 5.0, "as a hosted model takes for two sentences"
    assert slow.whole == pytest.approx(8 * once.whole) and at_once.whole == 0.0


def test_its_readme_has_each_variable_and_how_to_name_a_file_of_faults_before_it_starts() -> None:
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in EXAMPLE.glob("*.py"))
    variable = re.compile(r"CUSTOMER_SERVICE_[A-Z_]+")

    assert set(variable.findall(readme)) == set(variable.findall(code))
    assert re.search(r"CUSTOMER_SERVICE_MODEL_FAULTS=(\S+) lgs up .*\n +echo '(.*)' > \1", readme)


def test_faults_are_looked_at_twice_a_second_and_a_file_that_is_half_written_is_none(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    faults = FaultFile(str(file))

    seen = [faults.now(10.0)]
    file.write_text('{"latency_factor": 8, "failure_rate": 0.5}')
    seen += [faults.now(10.4), faults.now(10.5)]
    for at, broken in enumerate(('{"latency_', '{"careless_drafts": 1e999}', "[" * 100_000)):
        file.write_text(broken)
        seen += [faults.now(11.0 + at)]

    assert seen == [Faults(), Faults(), Faults(latency_factor=8.0, failure_rate=0.5), *[Faults()] * 3]


def test_of_ten_calls_at_a_rate_of_three_tenths_three_fail(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"failure_rate": 0.3}))
    faults = FaultFile(str(file))

    assert sum(faults.fails() for _ in range(10)) in (2, 3)
    assert sum(faults.fails() for _ in range(990)) in (297, 298)


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "local"),
        ({"OPENAI_API_KEY": "k"}, "openai:gpt-4.1-mini"),
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic:claude-haiku-4-5"),
        ({"OPENAI_API_KEY": "k", "CUSTOMER_SERVICE_MODEL": "local"}, "local"),
        ({"OPENAI_API_KEY": ""}, "local"),
    ],
)
def test_a_key_in_the_environment_chooses_the_model(variables: dict[str, str], name: str) -> None:
    assert example.models.model_name(variables) == name


def test_a_token_says_whose_it_is_and_one_that_was_changed_says_nothing() -> None:
    ann = tokens.token("ann")

    assert tokens.bearer(f"Bearer {ann}") == tokens.Bearer("customer", "ann")
    assert tokens.bearer(f"Bearer {tokens.token('mia', 'staff')}") == tokens.Bearer("staff", "mia")
    for name in ("staff:mia", "a.b", ""):
        with pytest.raises(ValueError, match="a name of letters and digits"):
            tokens.token(name)
    for forged in (ann.replace("customer", "staff"), ann.replace("ann", "bob"), ann[:-1], "", "development"):
        assert tokens.bearer(f"Bearer {forged}") is None
    assert tokens.bearer(ann) is None and tokens.bearer(None) is None


@pytest.mark.parametrize(
    ("message", "known", "noted"),
    [
        ("My name is Ann Lee", {}, {"name": "Ann Lee"}),
        ("where is order 48213?", {"name": "Ann"}, {"name": "Ann", "orders": ["48213"]}),
        ("order #ab-4711", {"orders": ["48213"]}, {"orders": ["AB-4711", "48213"]}),
        ("my name is not your business", {}, {}),
        ("I ordered 5 chairs in 2024", {}, {}),
    ],
)
def test_what_a_customer_says_of_themselves_is_noted_and_nothing_is_guessed(
    message: str, known: dict[str, object], noted: dict[str, object]
) -> None:
    assert example.customers.noted(known, message) == noted


async def test_the_handbook_is_in_the_store_once_however_often_it_is_put_there() -> None:
    store = InMemoryStore()
    await store.aput(
        example.handbook.PASSAGES, "of-an-old-edition", {"text": "gone", "title": "", "also": ""}
    )

    for _ in range(2):
        await example.handbook.fill(store)

    items = await store.asearch(example.handbook.PASSAGES, limit=1000)
    assert {item.key for item in items} == example.handbook.shipped().keys()
    assert len(items) >= 60


def test_each_passage_is_of_a_topic_that_is_an_intent_and_each_example_too() -> None:
    lines = (example.handbook.SHIPPED.with_name("intents.jsonl")).read_text().splitlines()

    topics = {passage["topic"] for passage in example.handbook.shipped().values()}
    intents = {json.loads(line)["intent"] for line in lines}

    assert topics < set(example.intent_agent.INTENTS)
    assert intents == set(example.intent_agent.INTENTS)


def test_the_manifest_is_valid_and_its_config_map_can_hold_the_folder() -> None:
    service = parse(yaml.safe_load((EXAMPLE / "service.yaml").read_text()))
    config = json.loads((EXAMPLE / "langgraph.json").read_text())
    files = [path for path in EXAMPLE.iterdir() if path.is_file()]

    assert service.spec.graphs == config["graphs"]
    assert service.spec.auth is not None and service.spec.auth.path == config["auth"]["path"]
    assert sum(path.stat().st_size for path in files) < 1024 * 1024


def test_no_node_edge_or_handler_is_called_in_a_thread() -> None:
    builders = (example.graph.builder, example.retrieval_agent.builder)
    nodes = [
        spec.runnable for builder in builders for name, spec in builder.nodes.items() if name != "retrieve"
    ]
    edges = [
        branch.path for builder in builders for each in builder.branches.values() for branch in each.values()
    ]

    assert len(nodes) >= 10 and len(edges) == 4
    assert [each for each in (*nodes, *edges) if each.afunc is None] == []


async def test_retrieval_without_a_store_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="store: none: compile with"):
        await example.retrieval_agent.retrieval.ainvoke({"messages": [("user", "Where?")], "intent": "order"})
