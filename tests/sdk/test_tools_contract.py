"""Turns with tools in Chat Completions, Responses and Messages: what is delivered as a call is one.

PLUMB_TURNS says how many turns there are (300 where it is not set)."""

import collections
import concurrent.futures
import dataclasses
import json
import os
import random
import time

import anthropic.types
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

import grammar
from satisfies import wrong
from strict import strict
from tools import BY_NAME, TOOLS, Tool, members, whole

TURNS = int(os.environ.get("PLUMB_TURNS", "300"))
AT_A_TIME = 16
MOST_TOKENS = 300
SAME_TOOLS = 12
MARKUP = "DSML"  # of the token that every tag has
# The words of tags. Without that token they are text, and the little model, which reads about tags in every
# prompt with tools, writes them in its text now and then.
WORDS_OF_MARKUP = ("tool_calls>", "invoke name")
REQUESTS = ["What is the weather in Rome?", "Add 799 and 502.", "Please call a tool.", "Who are you?",
            "Wake me at seven, and paint the door.", "Copy this: <b>\"x\"</b>",
            "Search for \"grammar\" & edit src/main.py.", "Ruf bitte alle Werkzeuge auf. 日本語でも。"]


@dataclasses.dataclass
class Turn:
    """One request, in no format yet."""

    number: int
    offered: list
    choice: str  # "auto", "required", or the name of a tool
    parallel: bool
    effort: str
    budget: int
    stream: bool
    most: int
    question: str
    earlier: tuple | None  # a call of an earlier turn, and its result

    @property
    def must_call(self) -> bool:
        return self.choice != "auto"


@dataclasses.dataclass
class Outcome:
    """What came back: `cut` by length, and the calls as (name, arguments as text)."""

    text: str
    reasoning: str
    calls: list
    cut: bool
    called: bool  # the reply says that it ended for calls
    open_calls: int = 0  # of the calls, at the end: told to be unfinished

    @property
    def speaks_of_markup(self) -> bool:
        return any(word in text for word in WORDS_OF_MARKUP for text in (self.text, self.reasoning))


def turn(number: int) -> Turn:
    rng = random.Random(number)
    # Turns that follow each other offer the same tools, as those of one client do.
    offer = random.Random(number // SAME_TOOLS)
    offered = offer.sample(TOOLS, offer.choice([1, 2, 3, 6, len(TOOLS)]))
    choice = rng.choice(["auto", "required", "named"])
    earlier = None
    if rng.random() < 0.25:
        earlier = rng.choice([("add", {"a": 1, "b": 2}, "3"), ("ping", {}, "pong"),
                              ("note", {"text": "a\n\"b\"", "level": 3, "pinned": None}, "{}")])
    return Turn(number, offered, rng.choice(offered).name if choice == "named" else choice,
                rng.random() < 0.6, rng.choice(["none", "high", "max"]), rng.choice([0, 8, 30]),
                rng.random() < 0.5, rng.randint(1, 80) if rng.random() < 0.15 else MOST_TOKENS,
                rng.choice(REQUESTS), earlier)


# --- the three formats ---

def common(one: Turn) -> dict:
    return {"model": "minnow", "temperature": 1, "seed": one.number, "stream": one.stream}


def in_chat(http, one: Turn) -> Outcome:
    messages = [{"role": "user", "content": one.question}]
    if one.earlier:
        name, arguments, result = one.earlier
        function = {"name": name, "arguments": json.dumps(arguments)}
        messages += [{"role": "assistant", "content": None,
                      "tool_calls": [{"id": "call_0", "type": "function", "function": function}]},
                     {"role": "tool", "tool_call_id": "call_0", "content": result}]
    choice = {"type": "function", "function": {"name": one.choice}} if one.choice in BY_NAME else one.choice
    body = common(one) | {
        "messages": messages, "tools": [tool.for_chat() for tool in one.offered], "tool_choice": choice,
        "parallel_tool_calls": one.parallel, "reasoning_effort": one.effort,
        "thinking_token_budget": one.budget, "max_tokens": one.most}
    data = post(http, "/v1/chat/completions", body)
    if one.stream:
        said, = grammar.check_chat(data)
        return Outcome(said.text, said.reasoning, said.calls, said.finish == "length",
                       said.finish == "tool_calls")
    choice, = strict(ChatCompletion, data).choices
    message = choice.message
    calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or []]
    return Outcome(message.content or "", getattr(message, "reasoning_content", ""), calls,
                   choice.finish_reason == "length", choice.finish_reason == "tool_calls")


def in_responses(http, one: Turn) -> Outcome:
    items = [{"role": "user", "content": one.question}]
    if one.earlier:
        name, arguments, result = one.earlier
        items += [{"type": "function_call", "call_id": "call_0", "name": name,
                   "arguments": json.dumps(arguments)},
                  {"type": "function_call_output", "call_id": "call_0", "output": result}]
    choice = {"type": "function", "name": one.choice} if one.choice in BY_NAME else one.choice
    body = common(one) | {
        "input": items, "tools": [tool.for_responses() for tool in one.offered], "tool_choice": choice,
        "parallel_tool_calls": one.parallel, "reasoning": {"effort": one.effort},
        "thinking_token_budget": one.budget, "max_output_tokens": one.most}
    data = post(http, "/v1/responses", body)
    if one.stream:
        checker = grammar.ResponsesChecker()
        said = checker.run(data)
        items, cut = checker.output, said.finish == "incomplete"
    else:
        response = strict(Response, data)
        items, cut = [item.model_dump() for item in response.output], response.status == "incomplete"
        assert cut == (response.incomplete_details is not None)
    calls = [item for item in items if item["type"] == "function_call"]
    texts = {kind: "".join(part["text"] for item in items if item["type"] == kind
                           for part in item["content"]) for kind in ("message", "reasoning")}
    unfinished = [item["status"] != "completed" for item in calls]
    assert cut or not any(item["status"] != "completed" for item in items)
    assert not any(unfinished[:-1])
    return Outcome(texts["message"], texts["reasoning"], [(c["name"], c["arguments"]) for c in calls],
                   cut, bool(calls) and not cut, sum(unfinished))


def in_messages(http, one: Turn) -> Outcome:
    messages = [{"role": "user", "content": one.question}]
    if one.earlier:
        name, arguments, result = one.earlier
        use = {"type": "tool_use", "id": "call_0", "name": name, "input": arguments}
        given = {"type": "tool_result", "tool_use_id": "call_0", "content": result}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [given]}]
    choice = {"type": {"auto": "auto", "required": "any"}.get(one.choice, "tool"),
              "disable_parallel_tool_use": not one.parallel}
    if one.choice in BY_NAME:
        choice["name"] = one.choice
    body = common(one) | {
        "messages": messages, "tools": [tool.for_messages() for tool in one.offered],
        "tool_choice": choice, "max_tokens": one.most, "thinking": {"type": "disabled"}}
    if one.effort != "none":
        body |= {"thinking": {"type": "enabled", "budget_tokens": one.budget},
                 "output_config": {"effort": one.effort}}
    data = post(http, "/v1/messages", body)
    if one.stream:
        said = grammar.check_messages(data)
        return Outcome(said.text, said.reasoning, said.calls, said.finish == "max_tokens",
                       said.finish == "tool_use")
    message = strict(anthropic.types.Message, data)
    blocks = {kind: [block for block in message.content if block.type == kind]
              for kind in ("text", "thinking", "tool_use")}
    calls = [(block.name, json.dumps(block.input)) for block in blocks["tool_use"]]
    return Outcome("".join(b.text for b in blocks["text"]), "".join(b.thinking for b in blocks["thinking"]),
                   calls, message.stop_reason == "max_tokens", message.stop_reason == "tool_use")


FORMATS = {"chat": in_chat, "responses": in_responses, "messages": in_messages}


def post(http, path: str, body: dict) -> bytes:
    reply = http.post(path, json=body)
    assert reply.status_code == 200, reply.text
    return reply.content


# --- what holds of every turn ---

def check_call(one: Turn, name: str, arguments: str) -> None:
    assert name in [tool.name for tool in one.offered], name
    value = json.loads(arguments)
    assert isinstance(value, dict), value
    tool = BY_NAME[name]
    problem = wrong(tool.parameters, value) if tool.exact else None
    assert not problem, f"{name}: {problem}"


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def check(one: Turn, got: Outcome) -> None:
    assert MARKUP not in got.text and MARKUP not in got.reasoning
    assert one.effort != "none" or not got.reasoning
    assert got.called == (bool(got.calls) and not got.cut)
    assert one.parallel or len(got.calls) <= 1
    finished = got.calls
    if got.cut and got.calls and (got.open_calls or not is_json(got.calls[-1][1])):
        # The last one was cut: it must not look like one that was not.
        assert not is_json(got.calls[-1][1]), got.calls[-1]
        finished = got.calls[:-1]
    for name, arguments in finished:
        check_call(one, name, arguments)
    if one.choice in BY_NAME:
        assert all(name == one.choice for name, _ in got.calls)
    if one.must_call:
        assert got.cut or got.calls
        assert not got.text.strip() or (got.cut and "\n\n<".startswith(got.text))  # cut in a tag


def run(http, number: int):
    """Name of the format, the turn, the outcome and what is wrong, if anything is."""
    one, (name, ask) = turn(number), list(FORMATS.items())[number % len(FORMATS)]
    try:
        got = ask(http, one)
        check(one, got)
    except Exception as problem:
        return name, one, None, f"turn {number} in {name}: {problem!r}\n  {one}"[:3000]
    return name, one, got, None


def count(found) -> list[str]:
    """Lines about turns and their calls."""
    lines, spoken = [], 0
    for name in FORMATS:
        got = [outcome for kind, _, outcome, _ in found if kind == name and outcome]
        spoken += sum(outcome.speaks_of_markup for outcome in got)
        lines.append(f"  {name}: {len(got)} turns, {sum(len(o.calls) for o in got)} calls in "
                     f"{sum(o.called for o in got)} turns that ended for them, {sum(o.cut for o in got)} cut")
    calls = collections.Counter(name for _, _, o, _ in found if o for name, _ in o.calls)
    most = max((len(o.calls) for _, _, o, _ in found if o), default=0)
    lines.append(f"  {most} calls at most in a turn; " + ", ".join(f"{k} {v}" for k, v in calls.most_common()))
    lines.append(f"  {spoken} turns have words of markup in their text")
    return lines


def test_turns_with_tools(http, figures):
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        found = list(pool.map(lambda number: run(http, number), range(TURNS)))
    figures.append(f"{TURNS} turns with tools in {time.monotonic() - started:.0f} s")
    figures.extend(count(found))
    problems = [problem for _, _, _, problem in found if problem]
    if problems:
        pytest.fail(f"{len(problems)} of {TURNS}:\n" + "\n".join(problems[:20]), pytrace=False)
    assert sum(outcome.speaks_of_markup for _, _, outcome, _ in found) <= max(3, TURNS / 50)
    if TURNS >= 300:  # so many that it has all been seen
        for name in FORMATS:
            got = [outcome for kind, _, outcome, _ in found if kind == name]
            assert any(outcome.cut for outcome in got)
            assert sum(outcome.called for outcome in got) > len(got) / 4
        called = {name for _, _, outcome, _ in found for name, _ in outcome.calls}
        assert len(called) > len(BY_NAME) * 3 / 4, set(BY_NAME) - called


# --- single cases ---

VALUES = ["", " ", "\n", "\n\n", " before", "after ", "a\nb", "\r\n", "q\"uote", "back\\slash", "\\n", "</", "<",
          "</invoke>", "</｜｜parameter>", "<b>", "&lt;", "</think>", "null", "true", "1", "{\"a\": 1}", "[]", "é",
          "e\u0301", "日本語", "😀", "\u0000", "\u0001\u001f", "\u007f", "\u2028", "\ufeff", "\U0010ffff", "'",
          0, -1, 1.5, 1e3, True, False, None, [], {}, [1, "a", None], {"a b": {"c": ["</x>"]}}]


@pytest.mark.parametrize("name", FORMATS)
def test_values_come_out_as_they_are(http, monkeypatch, name):
    """Whatever a string holds: it is written raw in the model's markup, and JSON in the reply."""
    problems = []

    def ask(value):
        tool = Tool("keep", members({"value": {"const": value}, "in": members({"it": {"const": value}})}), True)
        one = dataclasses.replace(turn(0), offered=[tool], choice="keep", stream=len(repr(value)) % 2 == 0,
                                  parallel=False, effort="none", most=200, earlier=None)
        (called, arguments), = FORMATS[name](http, one).calls
        expected = {"value": value, "in": {"it": value}}
        if called != "keep" or json.loads(arguments) != expected:
            problems.append((value, arguments))

    monkeypatch.setitem(BY_NAME, "keep", None)
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(ask, VALUES))
    assert not problems


@pytest.mark.parametrize("name", FORMATS)
def test_calls_that_were_cut_do_not_look_finished(http, name):
    """A call that is cut at every length it can have."""
    finished = 0
    for most in range(1, 70):
        one = dataclasses.replace(turn(0), offered=[BY_NAME["set_alarm"]], choice="set_alarm", parallel=False,
                                  effort="none", most=most, stream=most % 2 == 0, earlier=None)
        got = FORMATS[name](http, one)
        check(one, got)
        finished += got.called
    assert 0 < finished < 69


PIECES = members({"value": {"type": "object", "propertyNames": {"enum": ["p", "q"]}, "minProperties": 2,
                            "maxProperties": 3, "additionalProperties": whole(0, 9)}})
DEEP = members({"value": {"$ref": "#/$defs/d0"}}, **{"$defs": {"d80": {"const": 1}} | {
    f"d{i}": {"type": "array", "items": {"$ref": f"#/$defs/d{i + 1}"}, "minItems": 1, "maxItems": 1}
    for i in range(80)}})


@pytest.mark.parametrize("parameters", [PIECES, DEEP], ids=["names twice", "deep"])
@pytest.mark.parametrize("name", FORMATS)
def test_values_of_other_types_do_not_become_strings(http, monkeypatch, name, parameters):
    """Such a tool may be refused; what is called satisfies its schema, and is told to have been called."""
    tool = Tool("keep", parameters, True)
    monkeypatch.setitem(BY_NAME, "keep", tool)
    if http.post("/v1/chat/completions", json={
            "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 1,
            "tools": [tool.for_chat()]}).status_code == 400:
        return
    for seed in range(4):
        one = dataclasses.replace(turn(0), number=seed, offered=[tool], choice="keep", parallel=False,
                                  effort="none", most=900, stream=seed % 2 == 0, earlier=None)
        check(one, FORMATS[name](http, one))


def test_going_on_past_the_end_does_not_break_a_turn_with_tools(http):
    body = {"messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 60, "ignore_eos": True,
            "temperature": 0, "tools": [BY_NAME["ping"].for_chat()]}
    reply = http.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200 and "choices" in reply.json(), reply.text


def test_tools_with_schemas_of_all_kinds_are_taken_without_strict(http):
    """As servers of tools offer them; no grammar is made of these."""
    schemas = [{"type": "object", "properties": {"a": {"type": "any"}}},
               {"type": "object", "properties": {"a": {"type": "integer", "exclusiveMinimum": True}}},
               {"type": "object", "properties": {"a": {"type": "string", "required": True}}},
               {"type": "object", "properties": {"a": {"type": "array", "items": [{"type": "string"}]}}},
               {"type": "object", "properties": {"a": {"$ref": "#/definitions/nowhere"}}},
               {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
               {"type": "object", "properties": {"a\"b": {"type": "string"}}},
               {"type": "object", "properties": {"a": {"enum": []}}},
               {"type": "object", "not": {"required": ["a"]}},
               {"type": "object", "properties": {}, "minProperties": 1}, {}, None]
    for parameters in schemas:
        function = {"name": "f", "parameters": parameters}
        body = {"messages": [{"role": "user", "content": "Please call a tool."}], "max_tokens": 300,
                "tools": [{"type": "function", "function": function}], "tool_choice": "required", "seed": 1}
        reply = http.post("/v1/chat/completions", json=body)
        assert reply.status_code == 200, (parameters, reply.text)
        for call in reply.json()["choices"][0]["message"].get("tool_calls") or []:
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
        if parameters not in ({}, None):
            function["strict"] = True
            assert http.post("/v1/chat/completions", json=body).status_code == 400, parameters
