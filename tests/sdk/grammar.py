"""Streams as bytes: a reader of server-sent events, and for each of the four formats the order that
its events must have. Every checker gives back what the stream said, as a Said."""

import dataclasses
import json

import anthropic.types
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent

from strict import strict


@dataclasses.dataclass
class Said:
    """One answer, put together from its pieces."""

    text: str = ""
    reasoning: str = ""
    calls: list = dataclasses.field(default_factory=list)  # (name, arguments as JSON text)
    finish: str | None = None
    usage: object = None

    def check_calls(self, whole: bool) -> None:
        for name, arguments in self.calls[: None if whole else -1]:
            assert name and isinstance(json.loads(arguments), dict), (name, arguments)


def read_events(body: bytes) -> list[tuple[str | None, str]]:
    """(name, data) of every event. Refuses whatever the server has no reason to write."""
    text = body.decode("utf-8")
    assert text.endswith("\n\n") and "\r" not in text
    events = []
    for block in text[:-2].split("\n\n"):
        lines = block.split("\n")
        if all(line.startswith(":") for line in lines):
            continue  # keep-alive
        name = lines.pop(0).removeprefix("event: ") if lines[0].startswith("event: ") else None
        assert len(lines) == 1 and lines[0].startswith("data: "), block
        events.append((name, lines[0].removeprefix("data: ")))
    return events


def chunks_of(body: bytes, kind, usage: bool) -> tuple[list, object]:
    """The chunks of Chat Completions or Completions without the one that has the usage, and that."""
    events = read_events(body)
    assert all(name is None for name, _ in events)
    assert events.pop() == (None, "[DONE]")
    chunks = [strict(kind, data) for _, data in events]
    assert len({(c.id, c.created, c.model, c.object, c.system_fingerprint) for c in chunks}) == 1
    # Where the usage is asked for, every chunk has the field, and only the last one has a value.
    assert all(("usage" in json.loads(data)) == usage for _, data in events)
    last = chunks.pop().usage if usage else None
    assert not usage or (json.loads(events[-1][1])["choices"] == [] and last is not None)
    assert all(len(c.choices) == 1 and c.usage is None for c in chunks)
    return chunks, last


def check_chat(body: bytes, n: int = 1, usage: bool = False) -> list[Said]:
    chunks, total = chunks_of(body, ChatCompletionChunk, usage)
    said: list[Said | None] = [None] * n
    for chunk in chunks:
        choice = chunk.choices[0]
        delta = choice.delta.model_dump(exclude_unset=True)
        one = said[choice.index]
        if one is None:
            assert delta == {"role": "assistant", "content": ""} and choice.finish_reason is None
            said[choice.index] = Said(usage=total)
            continue
        assert one.finish is None, "a chunk after finish_reason"
        if choice.finish_reason is not None:
            assert delta == {}
            one.finish = choice.finish_reason
            continue
        (kind, value), = delta.items()
        if kind == "reasoning_content":
            assert value and not one.text and not one.calls
            one.reasoning += value
        elif kind == "content":
            assert value and not one.calls
            one.text += value
        else:
            assert kind == "tool_calls"
            take_call_piece(one, value)
    for one in said:
        assert one is not None and one.finish in ("stop", "length", "tool_calls"), one
        assert one.finish == "length" or (one.finish == "tool_calls") == bool(one.calls)
        one.check_calls(one.finish == "tool_calls")
    if total:
        assert total.total_tokens == total.prompt_tokens + total.completion_tokens
    return said


def take_call_piece(one: Said, pieces: list) -> None:
    piece, = pieces
    function = piece["function"]
    if piece["index"] == len(one.calls):
        assert piece["id"] and piece["type"] == "function" and function["name"]
        one.calls.append((function["name"], function["arguments"]))
    else:
        assert piece["index"] == len(one.calls) - 1 and piece.keys() == {"index", "function"}
        assert function.keys() == {"arguments"} and function["arguments"]
        name, arguments = one.calls[-1]
        one.calls[-1] = (name, arguments + function["arguments"])


def check_completions(body: bytes, n: int = 1, usage: bool = False) -> list[Said]:
    # The package's type of a choice has no null as finish_reason, which OpenAI's own streams have.
    lines = body.decode().split("\n")
    marked = [line.replace('"finish_reason":null}]', '"finish_reason":"stop"}]') for line in lines]
    chunks_of("\n".join(marked).encode(), Completion, usage)
    said = [Said() for _ in range(n)]
    for _, data in read_events(body)[:-1]:
        chunk = json.loads(data)
        for choice in chunk["choices"]:
            one = said[choice["index"]]
            assert one.finish is None, "a chunk after finish_reason"
            one.text += choice["text"]
            one.finish = choice["finish_reason"]
            assert (choice["text"] == "") == (one.finish is not None)
    assert all(one.finish in ("stop", "length") for one in said)
    return said


class ResponsesChecker:
    """Follows one stream of Responses."""

    def __init__(self) -> None:
        self.said = Said()
        self.output: list = []  # items that are done, as dumped
        self.item = None  # the open one: [type, id, text, part is done]

    def run(self, body: bytes) -> Said:
        events = []
        for name, data in read_events(body):
            event = strict(ResponseStreamEvent, data)
            assert name == event.type and event.sequence_number == len(events)
            events.append(event)
        first, second, *middle, last = events
        assert first.type == "response.created" and second.type == "response.in_progress"
        assert first.response == second.response and first.response.status == "in_progress"
        assert first.response.output == [] and first.response.usage is None
        for event in middle:
            self.take(event)
        assert self.item is None
        status = {"response.completed": "completed", "response.incomplete": "incomplete"}[last.type]
        response = last.response
        assert response.status == status and response.id == first.response.id
        assert [item.model_dump() for item in response.output] == self.output
        assert (response.incomplete_details is None) == (status == "completed")
        usage = response.usage
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens
        self.said.finish, self.said.usage = status, usage
        self.said.check_calls(status == "completed")
        return self.said

    def take(self, event) -> None:
        assert event.output_index == len(self.output)
        if event.type == "response.output_item.added":
            assert self.item is None and event.item.status == "in_progress"
            self.item = [event.item.type, event.item.id, "", False]
            return
        kind, item_id, text, done = self.item
        if event.type == "response.output_item.done":
            assert event.item.type == kind and event.item.id == item_id and done
            assert event.item.status in ("completed", "incomplete")
            self.close(event.item, text)
            return
        assert event.item_id == item_id
        prefix = {"reasoning": "response.reasoning_text", "message": "response.output_text",
                  "function_call": "response.function_call_arguments"}[kind]
        if event.type == "response.content_part.added":
            assert kind != "function_call" and text == "" and event.part.text == ""
        elif event.type == prefix + ".delta":
            assert event.delta and not done
            self.item[2] += event.delta
        elif event.type == prefix + ".done":
            assert (event.arguments if kind == "function_call" else event.text) == text
            self.item[3] = True
        else:
            assert event.type == "response.content_part.done" and event.part.text == text and done

    def close(self, item, text: str) -> None:
        self.output.append(item.model_dump())
        self.item = None
        if item.type == "function_call":
            assert item.arguments == text
            self.said.calls.append((item.name, text))
        else:
            assert [part.text for part in item.content] == [text]
            if item.type == "message":
                self.said.text += text
            else:
                self.said.reasoning += text


def check_responses(body: bytes) -> Said:
    return ResponsesChecker().run(body)


def check_messages(body: bytes) -> Said:
    events = read_events(body)
    assert events.pop(1) == ("ping", '{"type":"ping"}')
    assert events.pop() == ("message_stop", '{"type":"message_stop"}')
    said, open_block, index = Said(), None, -1
    for number, (name, data) in enumerate(events):
        event = strict(anthropic.types.RawMessageStreamEvent, data)
        assert name == event.type
        assert (number == 0) == (name == "message_start")
        if name == "content_block_start":
            index += 1
            assert open_block is None and event.index == index and said.finish is None
            open_block, signed = event.content_block.type, False
            if open_block == "tool_use":
                assert event.content_block.id and event.content_block.input == {}
                said.calls.append((event.content_block.name, ""))
        elif name == "content_block_delta":
            assert event.index == index and not signed
            signed = event.delta.type == "signature_delta"
            take_block_delta(said, open_block, event.delta)
        elif name == "content_block_stop":
            assert open_block is not None and event.index == index
            assert signed == (open_block == "thinking")
            open_block = None
        elif name == "message_delta":
            assert open_block is None and said.finish is None
            said.finish, said.usage = event.delta.stop_reason, event.usage
        else:
            assert name == "message_start"
            assert event.message.content == [] and event.message.stop_reason is None
    assert said.finish in ("end_turn", "max_tokens", "tool_use", "stop_sequence")
    said.calls = [(name, arguments or "{}") for name, arguments in said.calls]
    assert said.finish == "max_tokens" or (said.finish == "tool_use") == bool(said.calls)
    said.check_calls(said.finish == "tool_use")
    return said


def take_block_delta(said: Said, block: str, delta) -> None:
    if delta.type == "text_delta":
        assert block == "text" and delta.text
        said.text += delta.text
    elif delta.type == "thinking_delta":
        assert block == "thinking" and delta.thinking
        said.reasoning += delta.thinking
    elif delta.type == "input_json_delta":
        assert block == "tool_use" and delta.partial_json
        name, arguments = said.calls[-1]
        said.calls[-1] = (name, arguments + delta.partial_json)
    else:
        assert delta.type == "signature_delta" and block == "thinking" and delta.signature
