"""An answer depends on the request and on nothing else, and can be computed again."""

import concurrent.futures
import subprocess

import pytest

from serving import PROGRAM, eventually

QUESTION = {"messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 48,
            "ignore_eos": True}
SAMPLING = [{"temperature": 0}, {"temperature": 2, "seed": 11}, {"temperature": 1, "seed": 12, "n": 2}]


def texts(http, **more):
    reply = http.post("/v1/chat/completions", json=QUESTION | more)
    assert reply.status_code == 200, reply.text
    return [choice["message"]["content"] for choice in reply.json()["choices"]]


def stranger(http, number):
    words = f"Story number {number}, please. " * (1 + number % 5 * 20)
    asked = {"messages": [{"role": "user", "content": words}], "seed": number, "max_tokens": 150,
             "ignore_eos": True, "stream": number % 2 == 0, "temperature": 1}
    return http.post("/v1/chat/completions", json=asked).status_code


def test_an_answer_is_the_same_alone_and_among_sixteen_strangers(http):
    alone = [texts(http, **sampling) for sampling in SAMPLING]
    assert all(text for answers in alone for text in answers)
    with concurrent.futures.ThreadPoolExecutor(16 + len(SAMPLING)) as pool:
        strangers = [pool.submit(stranger, http, number) for number in range(16)]
        amid = [pool.submit(texts, http, **sampling) for sampling in SAMPLING]
        assert [answers.result() for answers in amid] == alone
        assert {status.result() for status in strangers} == {200}


@pytest.mark.parametrize("path, body", [
    ("/v1/chat/completions", QUESTION),
    ("/v1/chat/completions", QUESTION | {"n": 3, "stream": True, "temperature": 2}),
    ("/v1/completions", {"prompt": ["The", "A"], "stream": True}),
    ("/v1/responses", {"input": "Who are you?", "stream": True}),
    ("/v1/messages", {"model": "claude-sonnet-5", "max_tokens": 20, "messages": QUESTION["messages"]}),
])
def test_a_recorded_answer_is_replayed_byte_for_byte(server, http, path, body):
    reply = http.post(path, json=body)
    assert reply.status_code == 200
    request_id = reply.headers["x-request-id"]
    eventually((server.records / f"{request_id}.json").exists)
    again = subprocess.run(
        [PROGRAM, "replay", request_id, "--records", server.records, "--numerics", "plain"],
        capture_output=True, check=False, timeout=120)
    assert again.returncode == 0, again.stderr
    assert again.stdout == reply.content
