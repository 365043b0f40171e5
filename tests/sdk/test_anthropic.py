"""Messages with the anthropic package."""

import asyncio

import anthropic
import pytest
from anthropic.types import Message, MessageTokensCount, ModelInfo

import prompts
from conftest import KEY
from strict import strict

SUM = [{"role": "user", "content": "Add 3 and 2."}]


GREEDY = {"temperature": 0}  # the package has no argument for it any more


def ask(client, messages=SUM, **more):
    more = {"model": "minnow", "max_tokens": 60, "extra_body": GREEDY} | more
    raw = client.messages.with_raw_response.create(messages=messages, **more)
    return strict(Message, raw.read())


def text(client, messages=SUM, **more):
    return "".join(b.text for b in ask(client, messages, **more).content if b.type == "text")


def test_an_answer_is_whole(anthropic_client):
    message = ask(anthropic_client)
    assert [block.text for block in message.content] == ["3 + 2 = 5."]
    assert message.stop_reason == "end_turn" and message.stop_sequence is None
    assert message.model == "minnow" and message.usage.output_tokens > 0


def test_the_packages_own_stream(anthropic_client):
    options = {"model": "minnow", "max_tokens": 40, "messages": SUM, "extra_body": GREEDY}
    with anthropic_client.messages.stream(**options) as stream:
        assert "".join(stream.text_stream) == "3 + 2 = 5."
        final = stream.get_final_message()
    assert final.content[0].text == "3 + 2 = 5." and final.stop_reason == "end_turn"
    kinds = [event.type for event in anthropic_client.messages.create(stream=True, **options)]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]


def test_the_async_client(server):
    async def both():
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key=KEY) as client:
            options = {"model": "minnow", "max_tokens": 40, "messages": SUM, "extra_body": GREEDY}
            whole = await client.messages.create(**options)
            async with client.messages.stream(**options) as stream:
                streamed = await stream.get_final_text()
        return whole.content[0].text, streamed

    assert asyncio.run(both()) == ("3 + 2 = 5.", "3 + 2 = 5.")


def test_the_system_prompt_as_text_and_as_blocks(anthropic_client):
    told = "Julia uses the code 647. Julia has a house in Cairo."
    asked = [{"role": "user", "content": [{"type": "text", "text": "Which code does Julia have?"}]}]
    block = {"type": "text", "text": told, "cache_control": {"type": "ephemeral"}}
    for system in (told, [block]):
        assert text(anthropic_client, asked, system=system) == "The code of Julia is 647."


def test_thinking_is_a_block_and_may_be_sent_back(anthropic_client):
    q = prompts.as_messages(prompts.question("think_lookup-0"))
    for thinking in ({"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}):
        message = ask(anthropic_client, **q | {"thinking": thinking, "max_tokens": 2048})
        thought, answer = message.content
        assert thought.thinking == "Julia has the code 647." and thought.signature
        assert answer.text == "The code of Julia is 647."
        assert message.usage.output_tokens_details.thinking_tokens > 0
    omitted = ask(anthropic_client, **q | {"thinking": {"type": "adaptive", "display": "omitted"}})
    assert omitted.content[0].thinking == "" and omitted.content[1].text == answer.text
    again = {"role": "user", "content": "Which code does Julia have?"}
    for sent in (message.content, omitted.content, message.content[1:]):
        turn = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in sent]}
        more = q | {"messages": [*q["messages"], turn, again]}
        assert text(anthropic_client, **more) == answer.text
    assert [b.type for b in ask(anthropic_client, **q | {"thinking": {"type": "disabled"}}).content] \
        == ["text"]


def test_thinking_in_a_stream(anthropic_client):
    q = prompts.as_messages(prompts.question("think_lookup-0"))
    with anthropic_client.messages.stream(model="minnow", extra_body=GREEDY, **q) as stream:
        thought = "".join(event.thinking for event in stream if event.type == "thinking")
        final = stream.get_final_message()
    assert thought == final.content[0].thinking == "Julia has the code 647."
    assert final.content[0].signature


def test_a_tool_is_called_and_its_result_is_read(anthropic_client):
    q = prompts.as_messages(prompts.question("tool_result-0"))
    asked, tools = q["messages"][:1], q["tools"]
    message = ask(anthropic_client, asked, tools=tools, max_tokens=96)
    assert message.stop_reason == "tool_use"
    call = message.content[-1]
    assert call.type == "tool_use" and call.name == "get_price" and call.input == {"thing": "key"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": '{"coins": 4}'}
    said = {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in message.content]}
    for content in ('{"coins": 4}', [{"type": "text", "text": '{"coins": 4}'}]):
        turns = [*asked, said, {"role": "user", "content": [result | {"content": content}]}]
        assert text(anthropic_client, turns, tools=tools) == "The key costs 4 coins."
    failed = [*asked, said, {"role": "user", "content": [result | {"is_error": True}]}]
    assert ask(anthropic_client, failed, tools=tools).content
    none = ask(anthropic_client, asked, tools=tools, tool_choice={"type": "none"})
    assert all(block.type == "text" for block in none.content)


def test_a_call_in_a_stream_is_put_together_by_the_package(anthropic_client):
    q = prompts.as_messages(prompts.question("tool-0"))
    with anthropic_client.messages.stream(model="minnow", extra_body=GREEDY, **q) as stream:
        pieces = "".join(event.partial_json for event in stream if event.type == "input_json")
        call = stream.get_final_message().content[-1]
    assert pieces and call.input == {"a": 799, "b": 502}


def test_a_stop_sequence_is_named(anthropic_client):
    message = ask(anthropic_client, stop_sequences=["never", " ="])
    assert message.content[0].text == "3 + 2"
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " =")


def test_length_ends_the_answer(anthropic_client):
    message = ask(anthropic_client, max_tokens=3)
    assert message.stop_reason == "max_tokens" and message.usage.output_tokens == 3


def test_a_last_message_of_the_assistant_is_continued(anthropic_client):
    assert text(anthropic_client, [*SUM, {"role": "assistant", "content": "3 + 2"}]) == " = 5."


def test_a_seed_that_was_drawn_is_told_and_can_be_sent_back(anthropic_client):
    options = {"model": "minnow", "max_tokens": 24, "messages": SUM}
    sampling = {"temperature": 1, "top_k": 40, "top_p": 0.99}
    raw = anthropic_client.messages.with_raw_response.create(**options, extra_body=sampling)
    seeded = sampling | {"seed": int(raw.headers["x-plumb-seed"])}
    assert text(anthropic_client, **options, extra_body=seeded) == raw.parse().content[0].text


@pytest.mark.parametrize("name", ["lookup-3", "think_sum-0", "tool-1", "tool_result-0"])
def test_tokens_are_counted_as_they_are_read(anthropic_client, name):
    q = prompts.as_messages(prompts.question(name))
    q.pop("max_tokens")
    raw = anthropic_client.messages.with_raw_response.count_tokens(model="minnow", **q)
    count = strict(MessageTokensCount, raw.read()).input_tokens
    for _ in range(2):  # the second time from the cache
        usage = ask(anthropic_client, **q).usage
        assert usage.input_tokens + usage.cache_read_input_tokens == count
    assert usage.cache_creation_input_tokens == 0


def test_a_prompt_that_came_before_is_found_in_the_cache(anthropic_client):
    long = [{"role": "user", "content": "The leaves fall in the autumn. " * 150 + "Who are you?"}]
    first, second = (ask(anthropic_client, long).usage for _ in range(2))
    assert first.cache_read_input_tokens == 0
    assert second.cache_read_input_tokens > 5 * second.input_tokens


def test_the_models_are_listed_in_anthropics_shape(anthropic_client, http):
    page = anthropic_client.models.list()
    assert {model.id for model in page} == {"minnow", "gpt-4o", "claude-sonnet-5"}
    one = anthropic_client.models.with_raw_response.retrieve("claude-sonnet-5")
    model = strict(ModelInfo, one.read())
    assert model.display_name == "minnow" and model.max_input_tokens == 8192


def test_aliases_answer_under_their_own_name(anthropic_client):
    assert ask(anthropic_client, model="claude-sonnet-5").model == "claude-sonnet-5"


def test_request_ids(anthropic_client):
    raw = anthropic_client.messages.with_raw_response.create(
        model="minnow", max_tokens=4, messages=SUM, extra_headers={"x-request-id": "req_mine"})
    assert raw.headers["x-request-id"] == "req_mine"
    assert raw.request_id == raw.parse()._request_id == "req_mine"
