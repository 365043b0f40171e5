"""Replies that are held to a form: the JSON Schemas of tests/data/schemas, and the other forms."""

import concurrent.futures
import dataclasses
import json
import re
import time

import anthropic
import openai
import pytest

from satisfies import KIND, wrong, wrong_text
from serving import ROOT

CORPUS = ROOT / "tests" / "data" / "schemas" / "schemas.jsonl"
ENTRIES = [json.loads(line) for line in CORPUS.read_text().splitlines()]
ANSWERED = [entry for entry in ENTRIES if entry["expect"] == "reply"]
AT_A_TIME = 16
ASKED = [{"role": "user", "content": "Write this as JSON."}]
SMALL = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12},
                                          "age": {"type": "integer", "minimum": 1, "maximum": 99}},
         "required": ["name", "age"], "additionalProperties": False}


@dataclasses.dataclass
class Reply:
    """`finish` is "stop" or "length", or "refused" (status 400) or "failed" with the error's message as
    `text`."""

    entry: dict
    finish: str
    text: str


def many(ask, entries) -> list[Reply]:
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(ask, entries, range(len(entries))))


def in_chat(client, entry, seed) -> Reply:
    form = {"type": "json_schema", "json_schema": {"name": "it", "schema": entry["schema"], "strict": True}}
    try:
        reply = client.chat.completions.create(
            model="minnow", messages=ASKED, response_format=form, temperature=1, seed=seed,
            max_tokens=512, reasoning_effort="none")
    except openai.APIStatusError as error:
        return Reply(entry, {400: "refused"}.get(error.status_code, "failed"), error.message)
    choice, = reply.choices
    assert choice.message.tool_calls is None
    return Reply(entry, choice.finish_reason, choice.message.content)


@pytest.fixture(scope="module")
def replies(openai_client, figures):
    started = time.monotonic()
    found = many(lambda entry, seed: in_chat(openai_client, entry, seed), ENTRIES)
    count = {finish: sum(reply.finish == finish for reply in found)
             for finish in ("stop", "length", "refused")}
    figures.append(f"{len(found)} schemas: {count['stop']} replies ended, {count['length']} were cut, "
                   f"{count['refused']} were refused, in {time.monotonic() - started:.0f} s")
    return found


def check_none(problems) -> None:
    if problems:
        pytest.fail(f"{len(problems)}:\n" + "\n".join(problems), pytrace=False)


def check_ended(replies) -> None:
    """Those that ended satisfy their schemas; of the others nothing is known."""
    check_none([f"{reply.entry['id']}: {problem}\n  {reply.text[:200]}" for reply in replies
                if reply.finish == "stop"
                if (problem := wrong_text(reply.entry["schema"], reply.text))])


def check_most_ended(replies, share) -> None:
    cut = [reply.entry["id"] for reply in replies if reply.finish != "stop"]
    assert len(cut) <= (1 - share) * len(replies), cut


def test_the_corpus_is_what_its_readme_says():
    assert len(ENTRIES) >= 200 and len(ANSWERED) >= 200
    for distinct in ("id", "schema"):
        assert len({json.dumps(entry[distinct]) for entry in ENTRIES}) == len(ENTRIES)
    for entry in ENTRIES:
        assert entry.keys() <= {"id", "expect", "names", "about", "schema"}
        assert ("names" in entry) == (entry["expect"] == "refusal")
        assert entry["expect"] in ("reply", "refusal", "either")
        if entry["expect"] == "reply":
            KIND.check_schema(entry["schema"])
    assert f"{len(ENTRIES)} schemas" in CORPUS.with_name("README.md").read_text()


def test_replies_that_end_satisfy_their_schemas(replies):
    check_ended(replies)


def test_most_replies_end(replies):
    check_most_ended([r for r in replies if r.entry["expect"] == "reply" and r.finish != "refused"], 0.95)


def test_schemas_that_are_offered_are_not_refused(replies):
    check_none([f"{reply.entry['id']}: {reply.text}" for reply in replies
                if reply.finish == "failed" or (reply.entry["expect"], reply.finish) == ("reply", "refused")])


def test_schemas_that_are_not_offered_are_refused_by_path(replies):
    check_none([f"{reply.entry['id']} names {reply.entry['names']}: {reply.finish}, {reply.text[:300]}"
                for reply in replies if reply.entry["expect"] == "refusal"
                if reply.finish != "refused"
                or not all(name in reply.text for name in reply.entry["names"])])


def test_an_answer_after_reasoning_satisfies_its_schema(http):
    def ask(entry, seed):
        body = {"messages": ASKED, "temperature": 1, "seed": seed, "max_tokens": 512,
                "reasoning_effort": ["high", "max"][seed % 2], "thinking_token_budget": seed % 40,
                "response_format": {"type": "json_schema", "json_schema": {"schema": entry["schema"]}}}
        reply = http.post("/v1/chat/completions", json=body).json()
        if "error" in reply:
            return Reply(entry, "refused", reply["error"]["message"])
        choice, = reply["choices"]
        assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] <= seed % 40 + 1
        return Reply(entry, choice["finish_reason"], choice["message"]["content"])

    found = [reply for reply in many(ask, ANSWERED[::6]) if reply.finish != "refused"]
    check_ended(found)
    check_most_ended(found, 0.8)


def test_in_responses(openai_client):
    def ask(entry, seed):
        form = {"type": "json_schema", "name": "it", "schema": entry["schema"], "strict": True}
        try:
            reply = openai_client.responses.create(
                model="minnow", input="Write this as JSON.", text={"format": form}, temperature=1,
                max_output_tokens=512, reasoning={"effort": "none"}, extra_body={"seed": seed})
        except openai.BadRequestError as error:
            return Reply(entry, "refused", error.message)
        assert reply.text.format.name == "it" and reply.text.format.strict
        return Reply(entry, {"completed": "stop", "incomplete": "length"}[reply.status], reply.output_text)

    found = [reply for reply in many(ask, ANSWERED[1::6]) if reply.finish != "refused"]
    check_ended(found)
    check_most_ended(found, 0.8)


def test_in_messages(anthropic_client):
    def ask(entry, seed):
        form = {"type": "json_schema", "schema": entry["schema"]}
        try:
            reply = anthropic_client.messages.create(
                model="minnow", messages=ASKED, output_config={"format": form}, max_tokens=512,
                thinking={"type": "disabled"}, extra_body={"temperature": 1, "seed": seed})
        except anthropic.BadRequestError as error:
            return Reply(entry, "refused", error.message)
        text = "".join(block.text for block in reply.content)
        return Reply(entry, {"end_turn": "stop", "max_tokens": "length"}[reply.stop_reason], text)

    found = [reply for reply in many(ask, ANSWERED[2::6]) if reply.finish != "refused"]
    check_ended(found)
    check_most_ended(found, 0.8)


@pytest.mark.parametrize("temperature", [0, 1, 2])
def test_a_stream_satisfies_the_schema_too(openai_client, temperature):
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SMALL}}
    for seed in range(8):
        chunks = list(openai_client.chat.completions.create(
            model="minnow", messages=ASKED, response_format=form, temperature=temperature, seed=seed,
            max_tokens=200, stream=True))
        text = "".join(c.delta.content or "" for x in chunks for c in x.choices)
        assert chunks[-1].choices[0].finish_reason == "stop" and not wrong_text(SMALL, text)


def test_every_one_of_several_answers_satisfies_the_schema(openai_client):
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SMALL}}
    reply = openai_client.chat.completions.create(
        model="minnow", messages=ASKED, response_format=form, temperature=2, seed=1, max_tokens=200, n=4)
    texts = [choice.message.content for choice in reply.choices]
    assert not any(wrong_text(SMALL, text) for text in texts) and len(set(texts)) > 1


def test_a_bias_cannot_break_the_form(openai_client, http):
    words = http.post("/tokenize", json={"prompt": "Hello 5{\"", "add_special_tokens": False}).json()
    form = {"type": "json_schema", "json_schema": {"name": "it", "schema": {"const": {"a": [1, 5]}}}}
    for bias in (100, -100):
        reply = openai_client.chat.completions.create(
            model="minnow", messages=ASKED, response_format=form, max_tokens=60,
            logit_bias={str(token): bias for token in words["tokens"]})
        assert json.loads(reply.choices[0].message.content) == {"a": [1, 5]}


# --- the other forms ---

GRAMMAR = 'root ::= "<" [a-c]{1,3} ">" | "(" root ")"'
NESTED = re.compile(r"\(*<[a-c]{1,3}>\)*")
FORMS = [
    ({"regex": r"[A-Z]{3}-\d{2,4}"}, lambda text: re.fullmatch(r"[A-Z]{3}-[0-9]{2,4}", text)),
    ({"regex": "^(yes|no), (yes|no)$"}, lambda text: re.fullmatch("(yes|no), (yes|no)", text)),
    ({"choice": ["red", "green", "green blue", "ünder"]},
     lambda text: text in ("red", "green", "green blue", "ünder")),
    ({"grammar": GRAMMAR},
     lambda text: NESTED.fullmatch(text) and text.count("(") == text.count(")")),
    ({"json": SMALL}, lambda text: not wrong_text(SMALL, text)),
    ({"json": json.dumps(SMALL)}, lambda text: not wrong_text(SMALL, text)),
    ({"json_object": True}, lambda text: isinstance(json.loads(text), dict)),
]
OLDER = {"regex": "guided_regex", "choice": "guided_choice", "grammar": "guided_grammar",
         "json": "guided_json"}


def ended(reply: dict) -> str | None:
    """The text of a Chat, Completions or Responses reply; None: it was cut."""
    if "output" in reply:
        return reply["output"][0]["content"][0]["text"] if reply["status"] == "completed" else None
    choice, = reply["choices"]
    text = choice["text"] if "text" in choice else choice["message"]["content"]
    return text if choice["finish_reason"] == "stop" else None


@pytest.mark.parametrize("form, fits", FORMS)
@pytest.mark.parametrize("path, body", [
    ("/v1/chat/completions", {"messages": ASKED, "max_tokens": 400}),
    ("/v1/completions", {"prompt": "Once there was", "max_tokens": 400}),
    ("/v1/responses", {"input": "Write this.", "max_output_tokens": 400}),
])
def test_structured_outputs(http, path, body, form, fits):
    several = 0
    for seed in range(4):
        name, value = next(iter(form.items()))
        fields = [{"structured_outputs": form}]
        if name in OLDER:
            fields.append({OLDER[name]: value})
        texts = {ended(http.post(path, json=body | field | {"seed": seed, "temperature": 1}).json())
                 for field in fields}
        assert len(texts) == 1
        text = texts.pop()
        assert text is None or fits(text), text
        several += text is not None
    assert several or "json_object" in form  # minnow may go on for long where anything may stand


def test_an_object_of_any_kind(openai_client):
    objects = 0
    for seed in range(8):
        reply = openai_client.chat.completions.create(
            model="minnow", messages=ASKED, response_format={"type": "json_object"}, temperature=1,
            seed=seed, max_tokens=512)
        choice, = reply.choices
        assert choice.message.content.lstrip().startswith("{")
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)
            objects += 1
    assert objects


@pytest.mark.parametrize("form", [
    {"regex": "("}, {"regex": "(?=a)"}, {"grammar": "root ::= nothing"}, {"grammar": "a b c"},
    {"json": {"type": "text"}}, {"json": "{"}, {"choice": []}, {"choice": [1]}])
def test_forms_that_are_wrong(http, form):
    for path, body in (("/v1/chat/completions", {"messages": ASKED}), ("/v1/completions", {"prompt": "a"}),
                       ("/v1/responses", {"input": "a"})):
        reply = http.post(path, json=body | {"structured_outputs": form})
        assert reply.status_code == 400, reply.text
        assert reply.json()["error"]["type"] == "invalid_request_error"


def test_two_forms_at_once_are_refused_by_both_names(openai_client):
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.chat.completions.create(
            model="minnow", messages=ASKED, response_format={"type": "json_object"},
            extra_body={"structured_outputs": {"regex": "a"}})
    assert "response_format" in caught.value.message
    assert "structured_outputs.regex" in caught.value.message


def test_the_checker_of_schemas_notices_what_is_wrong():
    assert not wrong(SMALL, {"name": "Ada", "age": 36})
    for value in ({"name": "Ada"}, {"name": "Ada", "age": "36"}, {"name": "Ada", "age": 36, "x": 1}, []):
        assert wrong(SMALL, value)
    assert wrong_text(SMALL, '{"name": "Ada", "age": 36')
    for name in ("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"):
        assert wrong({"format": name}, "not, one")
