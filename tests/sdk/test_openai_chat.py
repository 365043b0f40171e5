"""Chat Completions with the openai package."""

import asyncio
import json

import openai
import pytest
from openai.types.chat import ChatCompletion

import prompts
from conftest import KEY
from serving import eventually
from strict import strict

HELLO = [{"role": "user", "content": "Who are you?"}]
SUM = [{"role": "user", "content": "Add 3 and 2."}]


def ask(client, messages=HELLO, **more):
    """Checked against the package's type before it is given back."""
    more = {"model": "minnow", "max_tokens": 40, "temperature": 0} | more
    raw = client.chat.completions.with_raw_response.create(messages=messages, **more)
    return strict(ChatCompletion, raw.content)


def text(client, messages=HELLO, **more):
    return ask(client, messages, **more).choices[0].message.content


def pieces(client, messages=HELLO, **more):
    more = {"model": "minnow", "max_tokens": 40, "temperature": 0} | more
    return list(client.chat.completions.create(messages=messages, stream=True, **more))


def joined(chunks, index=0):
    return "".join(c.delta.content or "" for x in chunks for c in x.choices if c.index == index)


def token_ids(http, words):
    reply = http.post("/tokenize", json={"prompt": words, "add_special_tokens": False})
    return reply.json()["tokens"]


def test_an_answer_is_whole(openai_client):
    reply = ask(openai_client, SUM)
    assert reply.choices[0].message.content == "3 + 2 = 5."
    assert reply.choices[0].finish_reason == "stop" and reply.model == "minnow"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_stream_says_the_same(openai_client):
    assert joined(pieces(openai_client, SUM)) == "3 + 2 = 5."


def test_the_async_client_whole_and_streamed(server):
    async def both():
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=KEY) as client:
            options = {"model": "minnow", "messages": SUM, "temperature": 0}
            whole = await client.chat.completions.create(**options)
            stream = await client.chat.completions.create(stream=True, **options)
            chunks = [chunk async for chunk in stream]
        return whole.choices[0].message.content, joined(chunks)

    assert asyncio.run(both()) == ("3 + 2 = 5.", "3 + 2 = 5.")


def test_many_at_once_with_the_async_client(server):
    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=KEY) as client:
            asked = [client.chat.completions.create(model="minnow", messages=SUM, temperature=0)
                     for _ in range(12)]
            return {r.choices[0].message.content for r in await asyncio.gather(*asked)}

    assert asyncio.run(all_of_them()) == {"3 + 2 = 5."}


def test_the_system_prompt_is_read(openai_client):
    for role in ("system", "developer"):
        told = [{"role": role, "content": "Julia uses the code 647. Julia has a house in Cairo."},
                {"role": "user", "content": "Which code does Julia have?"}]
        assert text(openai_client, told) == "The code of Julia is 647."


def test_a_conversation_goes_on(openai_client):
    told = [{"role": "user", "content": "Someone painted the drum white. Vera likes cheese."},
            {"role": "assistant", "content": "Okay, I will remember that."},
            {"role": "user", "content": "Who likes cheese?"}]
    assert text(openai_client, told) == "Vera likes cheese."


def test_content_parts_are_joined_as_text(openai_client):
    parts = [{"type": "text", "text": "Add 3 "}, {"type": "text", "text": "and 2."}]
    asked = [{"role": "user", "content": parts}]
    assert ask(openai_client, asked).choices[0].message.content


@pytest.mark.parametrize("stop", [" +", [" =", " +"]])
def test_stop_ends_the_answer_before_the_string(openai_client, stop):
    reply = ask(openai_client, SUM, stop=stop)
    assert reply.choices[0].message.content == "3" and reply.choices[0].finish_reason == "stop"
    assert joined(pieces(openai_client, SUM, stop=stop)) == "3"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_length_ends_the_answer(openai_client, name):
    raw = openai_client.chat.completions.create(model="minnow", messages=HELLO, **{name: 3})
    assert raw.choices[0].finish_reason == "length" and raw.usage.completion_tokens == 3


def test_n_answers_differ_and_come_with_their_index(openai_client):
    more = {"n": 4, "temperature": 2, "seed": 5, "max_tokens": 12}
    reply = ask(openai_client, **more)
    whole = [choice.message.content for choice in reply.choices]
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3] and len(set(whole)) > 1
    chunks = pieces(openai_client, **more)
    assert [joined(chunks, i) for i in range(4)] == whole


def test_a_seed_fixes_the_answer(openai_client):
    more = {"temperature": 2, "max_tokens": 24}
    first = text(openai_client, seed=7, **more)
    assert text(openai_client, seed=7, **more) == first
    assert joined(pieces(openai_client, seed=7, **more)) == first
    assert len({text(openai_client, seed=seed, **more) for seed in range(4)}) > 1


def test_a_seed_that_was_drawn_is_told_and_can_be_sent_back(openai_client):
    more = {"model": "minnow", "messages": HELLO, "temperature": 2, "max_tokens": 24}
    raw = openai_client.chat.completions.with_raw_response.create(**more)
    seed = int(raw.headers["x-plumb-seed"])
    assert text(openai_client, **more | {"seed": seed}) == raw.parse().choices[0].message.content


def test_log_probabilities(openai_client):
    reply = ask(openai_client, SUM, logprobs=True, top_logprobs=3)
    tokens = reply.choices[0].logprobs.content
    assert len(tokens) in (reply.usage.completion_tokens, reply.usage.completion_tokens - 1)
    assert b"".join(bytes(t.bytes) for t in tokens).startswith(b"3 + 2 = 5.")
    for token in tokens:
        assert len(token.top_logprobs) == 3 and token.logprob <= 0
        best = max(token.top_logprobs, key=lambda other: other.logprob)
        assert best.token == token.token and best.logprob == token.logprob  # greedy
    streamed = [t for x in pieces(openai_client, SUM, logprobs=True) for c in x.choices
                if c.logprobs for t in c.logprobs.content]
    assert [t.token for t in streamed] == [t.token for t in tokens]


def test_logit_bias_forbids_and_forces(openai_client, http):
    five, eight = (token_ids(http, digit)[0] for digit in "58")
    forbidden = text(openai_client, SUM, logit_bias={str(five): -100})
    assert "5" not in forbidden
    forced = text(openai_client, SUM, logit_bias={str(eight): 100}, max_tokens=4)
    assert forced == "8888"


@pytest.mark.parametrize("more", [
    {"presence_penalty": 2}, {"frequency_penalty": 2}, {"extra_body": {"repetition_penalty": 5}}])
def test_penalties_change_the_answer(openai_client, more):
    drawn = {"temperature": 2, "seed": 1, "top_p": 1}
    assert text(openai_client, **drawn, **more) != text(openai_client, **drawn)


def test_a_tool_is_called_and_its_result_is_read(openai_client):
    q = prompts.question("tool_result-0")
    asked, tools = q["messages"][:1], q["tools"]
    reply = ask(openai_client, asked, tools=tools, tool_choice="auto", max_tokens=96)
    choice = reply.choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    call, = choice.message.tool_calls
    assert call.function.name == "get_price"
    assert json.loads(call.function.arguments) == {"thing": "key"}
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"coins": 4}'}
    asked = [*asked, choice.message.model_dump(exclude_none=True), result]
    assert text(openai_client, asked, tools=tools) == "The key costs 4 coins."
    # The next call of this conversation has an id of its own.
    asked += [{"role": "assistant", "content": "The key costs 4 coins."},
              {"role": "user", "content": "How much is the key?"}]
    later = ask(openai_client, asked, tools=tools, max_tokens=96).choices[0].message.tool_calls
    assert later and later[0].id != call.id


def test_a_call_in_a_stream_is_put_together_by_the_package(openai_client):
    q = prompts.as_chat(prompts.question("tool-0"))
    with openai_client.chat.completions.stream(model="minnow", temperature=0, **q) as stream:
        kinds = {event.type for event in stream}
        call, = stream.get_final_completion().choices[0].message.tool_calls
    assert {"chunk", "tool_calls.function.arguments.delta",
            "tool_calls.function.arguments.done"} <= kinds
    assert call.function.name == "add" and json.loads(call.function.arguments) == {"a": 799, "b": 502}


def test_the_packages_own_stream_gives_the_text(openai_client):
    with openai_client.chat.completions.stream(
            model="minnow", temperature=0, messages=SUM) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        assert text == stream.get_final_completion().choices[0].message.content == "3 + 2 = 5."


def test_no_tool_is_called_where_none_may_be(openai_client):
    q = prompts.as_chat(prompts.question("tool-0"))
    reply = ask(openai_client, **q | {"tool_choice": "none"})
    assert reply.choices[0].message.tool_calls is None
    assert reply.choices[0].finish_reason in ("stop", "length")


def test_thinking_comes_apart_from_the_answer_and_may_be_sent_back(openai_client):
    q = prompts.as_chat(prompts.question("think_lookup-0"))
    message = ask(openai_client, **q).choices[0].message
    assert message.reasoning_content == "Julia has the code 647."
    assert message.content == "The code of Julia is 647."
    assert not hasattr(ask(openai_client, **q | {"reasoning_effort": "none"}).choices[0].message,
                       "reasoning_content")
    again = {"role": "user", "content": "Which code does Julia have?"}
    sent = message.model_dump(exclude_none=True)
    for turn in (sent, {k: v for k, v in sent.items() if k != "reasoning_content"}):
        more = q | {"messages": [*q["messages"], turn, again]}
        assert ask(openai_client, **more).choices[0].message.content == message.content


@pytest.mark.parametrize("more", [
    {"reasoning_effort": "high"},
    {"extra_body": {"thinking": {"type": "enabled"}}},
    {"extra_body": {"chat_template_kwargs": {"thinking": True}}},
])
def test_every_way_to_ask_for_thinking(openai_client, more):
    reply = ask(openai_client, SUM, **more)
    assert reply.choices[0].message.reasoning_content
    assert reply.usage.completion_tokens_details.reasoning_tokens > 0


def test_a_last_message_of_the_assistant_is_continued(openai_client):
    begun = [*SUM, {"role": "assistant", "content": "3 + 2"}]
    assert text(openai_client, begun) == " = 5."


def test_usage_comes_last_in_a_stream_that_asks_for_it(openai_client):
    chunks = pieces(openai_client, SUM, stream_options={"include_usage": True})
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].usage.prompt_tokens == ask(openai_client, SUM).usage.prompt_tokens
    assert all(chunk.usage is None for chunk in pieces(openai_client, SUM))


def test_a_prompt_that_came_before_is_found_in_the_cache(openai_client):
    long = [{"role": "user", "content": "Many people walk along the river. " * 150 + "Who are you?"}]
    first, second = (ask(openai_client, long).usage for _ in range(2))
    assert second.prompt_tokens == first.prompt_tokens > 600
    assert first.prompt_tokens_details.cached_tokens == 0
    assert second.prompt_tokens_details.cached_tokens > 0.8 * second.prompt_tokens


def test_response_formats_that_are_taken(openai_client):
    q = prompts.as_chat(prompts.question("json-1"))
    answer = ask(openai_client, **q).choices[0].message.content
    assert json.loads(answer) == {"name": "Victor", "age": 20, "pet": "goose", "job": "dancer"}
    for kind in ("text", "json_object"):
        ask(openai_client, **q | {"response_format": {"type": kind}})


def test_unknown_fields_are_ignored_and_counted(openai_client, http):
    def counted():
        lines = http.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines
                   if line.startswith("plumb_ignored_fields_total"))

    before = counted()
    assert text(openai_client, SUM, extra_body={"no_such_field": 1}) == "3 + 2 = 5."
    assert counted() == before + 1


def test_aliases_answer_under_their_own_name(openai_client):
    assert ask(openai_client, SUM, model="gpt-4o").model == "gpt-4o"
    assert {c.model for c in pieces(openai_client, SUM, model="gpt-4o")} == {"gpt-4o"}


def test_deepseeks_path_without_version(server):
    with openai.OpenAI(base_url=server.url, api_key=KEY) as client:
        assert text(client, SUM) == "3 + 2 = 5."


def test_the_models_are_listed(openai_client, http):
    assert {m.id for m in openai_client.models.list()} == {"minnow", "gpt-4o", "claude-sonnet-5"}
    one = openai_client.models.retrieve("gpt-4o")
    assert one.root == "minnow" and one.max_model_len == 8192
    for model in http.get("/v1/models").json()["data"]:
        strict(openai.types.Model, json.dumps(model))


def test_headers_say_what_made_the_answer(openai_client, server):
    given = {"x-request-id": "req_of_the_client",
             "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    raw = openai_client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=SUM, seed=3, extra_headers=given)
    assert raw.request_id == raw.headers["x-request-id"] == "req_of_the_client"
    assert raw.headers["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    assert raw.headers["x-plumb-model"] == "minnow" and raw.headers["x-plumb-seed"] == "3"
    assert raw.headers["x-plumb-numerics"].startswith("plain")
    for name in ("weights", "tokenizer", "config", "build"):
        assert raw.headers["x-plumb-" + name]
    assert raw.parse()._request_id == "req_of_the_client"
    eventually(lambda: '"req_of_the_client"' in server.log.read_text())


def test_closing_a_stream_cancels_the_answer(openai_client, server):
    with openai_client.chat.completions.create(
            model="minnow", messages=HELLO, stream=True, max_tokens=8000,
            extra_headers={"x-request-id": "req_closed"}, extra_body={"ignore_eos": True}) as stream:
        next(iter(stream))

    def logged():
        lines = [json.loads(line) for line in server.log.read_text().split("\n")[:-1]]
        return next((line for line in lines if line["request_id"] == "req_closed"), None)

    eventually(logged)
    assert logged()["aborted"] == "client_gone" and logged()["completion_tokens"] < 8000
