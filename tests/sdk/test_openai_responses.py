"""Responses with the openai package."""

import asyncio
import json

import openai
import pytest
from openai.types.responses import Response

import prompts
from conftest import KEY
from strict import strict


def ask(client, input="Add 3 and 2.", **more):
    more = {"model": "minnow", "max_output_tokens": 60, "temperature": 0} | more
    raw = client.responses.with_raw_response.create(input=input, **more)
    return strict(Response, raw.content)


def test_an_answer_is_whole(openai_client):
    response = ask(openai_client)
    assert response.output_text == "3 + 2 = 5." and response.status == "completed"
    assert response.error is None and response.incomplete_details is None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_the_options_are_given_back_as_they_were_understood(openai_client):
    response = ask(openai_client, temperature=0.5, top_p=0.7, metadata={"a": "b"}, user="u",
                   instructions="You are Minnow.", extra_body={"store": False})
    assert (response.temperature, response.top_p) == (0.5, 0.7)
    assert response.metadata == {"a": "b"} and response.user == "u"
    assert response.instructions == "You are Minnow." and response.max_output_tokens == 60


def test_a_stream_has_the_same_text(openai_client):
    events = list(openai_client.responses.create(
        model="minnow", input="Add 3 and 2.", temperature=0, stream=True))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == events[-1].response.output_text == "3 + 2 = 5."
    assert [e.sequence_number for e in events] == list(range(len(events)))


def test_the_packages_own_stream(openai_client):
    with openai_client.responses.stream(
            model="minnow", input="Add 3 and 2.", temperature=0) as stream:
        text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        assert text == stream.get_final_response().output_text == "3 + 2 = 5."


def test_the_async_client(server):
    async def both():
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=KEY) as client:
            options = {"model": "minnow", "input": "Add 3 and 2.", "temperature": 0}
            whole = await client.responses.create(**options)
            async with client.responses.stream(**options) as stream:
                async for _ in stream:
                    pass
                final = await stream.get_final_response()
        return whole.output_text, final.output_text

    assert asyncio.run(both()) == ("3 + 2 = 5.", "3 + 2 = 5.")


def test_instructions_and_items_of_every_kind_are_read(openai_client):
    instructions = "Julia uses the code 647. Julia has a house in Cairo."
    asked = "Which code does Julia have?"
    for more in ({"input": asked, "instructions": instructions},
                 {"input": [{"role": "developer", "content": instructions},
                            {"role": "user", "content": asked}]},
                 {"input": [{"type": "message", "role": "system", "content": instructions},
                            {"type": "message", "role": "user",
                             "content": [{"type": "input_text", "text": asked}]}]}):
        assert ask(openai_client, **more).output_text == "The code of Julia is 647."


def test_length_makes_an_answer_incomplete(openai_client):
    response = ask(openai_client, max_output_tokens=3)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].status == "incomplete"


def test_a_seed_fixes_the_answer(openai_client):
    more = {"temperature": 1.5, "extra_body": {"seed": 7}}
    first = ask(openai_client, **more).output_text
    assert ask(openai_client, **more).output_text == first
    raw = openai_client.responses.with_raw_response.create(
        model="minnow", input="Who are you?", temperature=1.5)
    seed = {"seed": int(raw.headers["x-plumb-seed"])}
    again = ask(openai_client, "Who are you?", temperature=1.5, extra_body=seed)
    assert again.output_text == raw.parse().output_text


def test_a_tool_is_called_and_its_result_is_read(openai_client):
    q = prompts.as_responses(prompts.question("tool_result-0"))
    asked, tools = q["input"][:1], q["tools"]
    response = ask(openai_client, asked, tools=tools, max_output_tokens=96)
    call, = response.output
    assert call.type == "function_call" and call.status == "completed"
    assert call.name == "get_price" and json.loads(call.arguments) == {"thing": "key"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"coins": 4}'}
    asked = [*asked, *[item.model_dump(exclude_none=True) for item in response.output], result]
    assert ask(openai_client, asked, tools=tools).output_text == "The key costs 4 coins."
    none = ask(openai_client, q["input"][:1], tools=tools, tool_choice="none")
    assert all(item.type == "message" for item in none.output)


def test_a_call_in_the_packages_own_stream(openai_client):
    q = prompts.as_responses(prompts.question("tool-0"))
    with openai_client.responses.stream(model="minnow", temperature=0, **q) as stream:
        kinds = [event.type for event in stream]
        call, = stream.get_final_response().output
    assert "response.function_call_arguments.done" in kinds
    assert json.loads(call.arguments) == {"a": 799, "b": 502}


@pytest.mark.parametrize("packed", [False, True])
def test_reasoning_is_an_item_and_may_be_sent_back(openai_client, packed):
    q = prompts.as_responses(prompts.question("think_lookup-0"))
    include = ["reasoning.encrypted_content"] if packed else []
    response = ask(openai_client, include=include, **q)
    reasoning, message = response.output
    assert reasoning.type == "reasoning" and reasoning.content[0].text == "Julia has the code 647."
    assert (reasoning.encrypted_content is not None) == packed
    assert response.usage.output_tokens_details.reasoning_tokens > 0
    again = {"role": "user", "content": "Which code does Julia have?"}
    sent = [item.model_dump(exclude_none=True) for item in response.output]
    if packed:  # as clients that keep nothing else send it
        sent[0] = {key: sent[0][key] for key in ("type", "id", "summary", "encrypted_content")}
    for items in (sent, sent[1:]):
        more = q | {"input": [*q["input"], *items, again]}
        assert ask(openai_client, **more).output_text == message.content[0].text


def test_log_probabilities_where_they_are_included(openai_client):
    response = ask(openai_client, include=["message.output_text.logprobs"], top_logprobs=2)
    part = response.output[0].content[0]
    assert b"".join(bytes(t.bytes) for t in part.logprobs).decode() == part.text
    assert all(len(t.top_logprobs) == 2 for t in part.logprobs)
    assert ask(openai_client).output[0].content[0].logprobs == []


def test_a_schema_is_shown_to_the_model(openai_client):
    response = ask(openai_client, **prompts.as_responses(prompts.question("json-1")))
    assert json.loads(response.output_text) == {
        "name": "Victor", "age": 20, "pet": "goose", "job": "dancer"}


def test_a_prompt_that_came_before_is_found_in_the_cache(openai_client):
    long = "There is snow on the roof. " * 150 + "Who are you?"
    first, second = (ask(openai_client, long).usage for _ in range(2))
    assert first.input_tokens_details.cached_tokens == 0
    assert second.input_tokens_details.cached_tokens > 0.8 * second.input_tokens
