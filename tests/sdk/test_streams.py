"""Streams over sockets, eight at a time, in all four formats: not one event out of order."""

import concurrent.futures
import itertools
import random

import anthropic.types
import openai.types.responses
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion

import grammar
import prompts
from strict import strict

STREAMS = 300
AT_A_TIME = 8


def chat(rng, q):
    n, usage = rng.choice([1, 1, 2]), rng.random() < 0.5
    more = {"n": n, "stream_options": {"include_usage": usage}}
    if rng.random() < 0.3:
        more |= {"logprobs": True, "top_logprobs": 2}
    return ("/v1/chat/completions", prompts.as_chat(q) | more,
            lambda body: grammar.check_chat(body, n, usage))


def completion(rng, q):
    n, usage = rng.choice([1, 3]), rng.random() < 0.5
    more = {"n": n, "stream_options": {"include_usage": usage}, "max_tokens": 16}
    return ("/v1/completions", prompts.as_completion(q) | more,
            lambda body: grammar.check_completions(body, n, usage))


def responses(rng, q):
    more = {"include": ["message.output_text.logprobs"]} if rng.random() < 0.3 else {}
    if rng.random() < 0.5:
        more["include"] = [*more.get("include", []), "reasoning.encrypted_content"]
    return "/v1/responses", prompts.as_responses(q) | more, grammar.check_responses


def messages(_, q):
    return "/v1/messages", prompts.as_messages(q) | {"model": "minnow"}, grammar.check_messages


def asked(number):
    """The request with this number and the checker of its stream."""
    rng = random.Random(number)
    make = [chat, completion, responses, messages][number % 4]
    path, body, check = make(rng, rng.choice(prompts.questions()))
    body |= {"stream": True, "temperature": rng.choice([0, 1]), "seed": number}
    if rng.random() < 0.2:
        length = "max_output_tokens" if "max_output_tokens" in body else "max_tokens"
        body[length] = rng.randint(1, 8)  # cut off somewhere
    return path, body, check


def stream(http, number):
    """None, or what is wrong."""
    path, body, check = asked(number)
    reply = http.post(path, json=body)
    try:
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        check(reply.content)
    except Exception as wrong:
        return f"stream {number} of {path}: {wrong!r}\n{body}\n{reply.text}"
    return None


def test_three_hundred_streams_keep_to_their_formats(http):
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        found = list(pool.map(stream, itertools.repeat(http), range(STREAMS)))
    wrong = [text for text in found if text]
    assert not wrong, f"{len(wrong)} of {STREAMS}; the first:\n{wrong[0]}"


@pytest.mark.parametrize("number", range(8))
def test_a_stream_says_what_the_whole_reply_says(http, number):
    path, body, check = asked(number)
    said = check(http.post(path, json=body).content)
    body["stream"] = False
    body.pop("stream_options", None)
    data = http.post(path, json=body).content
    if path == "/v1/chat/completions":
        for one, choice in zip(said, strict(ChatCompletion, data).choices, strict=True):
            assert (choice.message.content or "", choice.finish_reason) == (one.text, one.finish)
    elif path == "/v1/completions":
        for one, choice in zip(said, strict(Completion, data).choices, strict=True):
            assert (choice.text, choice.finish_reason) == (one.text, one.finish)
    elif path == "/v1/responses":
        response = strict(openai.types.responses.Response, data)
        assert (response.output_text, response.status) == (said.text, said.finish)
    else:
        message = strict(anthropic.types.Message, data)
        text = "".join(block.text for block in message.content if block.type == "text")
        assert (text, message.stop_reason) == (said.text, said.finish)


# The checkers refuse what they are there to refuse.
GOOD = (b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":null,'
        b'"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}]}\n\n')
START, END = GOOD % (b'{"role":"assistant","content":""}', b"null"), GOOD % (b"{}", b'"stop"')
TEXT, DONE = GOOD % (b'{"content":"a"}', b"null"), b"data: [DONE]\n\n"


def test_the_checker_takes_a_right_stream():
    assert grammar.check_chat(START + TEXT + b": alive\n\n" + END + DONE)[0].text == "a"


@pytest.mark.parametrize("body", [
    START + TEXT + END,  # cut off
    START + TEXT + DONE,  # never finished
    START + END + TEXT + DONE,  # more after the end
    TEXT + END + DONE,  # no beginning
    START + TEXT.replace(b'"created":1', b'"created":"1"') + END + DONE,  # a wrong type
    START + TEXT.replace(b'"id":"c",', b"") + END + DONE,  # a missing field
    START + TEXT.replace(b'"logprobs"', b'"logprob"') + END + DONE,  # an unknown field
    START + TEXT.replace(b"\n\n", b"\n") + END + DONE,  # events run into each other
    START + TEXT + END + DONE[:-1],
])
def test_the_checker_refuses_a_wrong_stream(body):
    with pytest.raises(Exception):
        grammar.check_chat(body)


@pytest.mark.parametrize("path, body, check", [
    ("/v1/chat/completions", {"stream_options": {"include_usage": True}},
     lambda body: grammar.check_chat(body, usage=True)),
    ("/v1/responses", {}, grammar.check_responses),
    ("/v1/messages", {"model": "minnow"}, grammar.check_messages),
])
@pytest.mark.parametrize("name", ["think_lookup-0", "tool-0"])
def test_the_checkers_notice_any_event_that_is_lost_or_comes_twice(http, name, path, body, check):
    make = {"/v1/chat/completions": prompts.as_chat, "/v1/responses": prompts.as_responses,
            "/v1/messages": prompts.as_messages}[path]
    asked = make(prompts.question(name)) | body | {"stream": True, "temperature": 0}
    stream = http.post(path, json=asked).content
    right = check(stream)
    events = stream.split(b"\n\n")[:-1]
    for at in range(len(events)):
        for wrong in (events[:at] + events[at + 1:], events[:at + 1] + events[at:]):
            assert noticed(check, b"\n\n".join(wrong) + b"\n\n", right), events[at]


def noticed(check, stream, right):
    try:
        return check(stream) != right
    except Exception:  # whatever it is, the stream was refused
        return True
