"""What the packages make of replies by themselves: pydantic models for answers and for calls."""

import asyncio
import datetime
import enum
import uuid
from typing import Literal

import anthropic
import openai
import pydantic
import pytest

import prompts
from conftest import KEY

ASKED = [{"role": "user", "content": "Write this as JSON: Victor is 20, has a goose and works as a dancer."}]
SEEDS = range(6)


class Pet(pydantic.BaseModel):
    kind: Literal["goose", "cat", "dog"]
    name: str | None = pydantic.Field(max_length=12)


class Mood(enum.Enum):
    good = "good"
    bad = "bad"


class Person(pydantic.BaseModel):
    """Someone."""

    name: str = pydantic.Field(max_length=20, description="The first name.")
    age: int = pydantic.Field(ge=0, le=130)
    pets: list[Pet] = pydantic.Field(max_length=2)
    mood: Mood
    born: datetime.date | None
    id: uuid.UUID


class Card(pydantic.BaseModel):
    """Without bounds: Anthropic's package turns those into words before it asks, and holds replies to
    them all the same."""

    kind: Literal["visit", "birthday"]
    mood: Mood | None
    sent: datetime.datetime
    id: uuid.UUID
    paid: bool


class Move(pydantic.BaseModel):
    """Moves a piece."""

    piece: Literal["rook", "king"]
    row: int = pydantic.Field(ge=1, le=8)
    comment: str | None = pydantic.Field(max_length=12)


class Resign(pydantic.BaseModel):
    """Gives up."""


def test_an_answer_of_chat_is_a_model(openai_client):
    for seed in SEEDS:
        reply = openai_client.chat.completions.parse(
            model="minnow", messages=ASKED, response_format=Person, temperature=1, seed=seed)
        person = reply.choices[0].message.parsed
        assert isinstance(person, Person) and 0 <= person.age <= 130 and person.mood in Mood


def test_an_answer_of_chat_is_what_was_asked_for(openai_client):
    q = prompts.as_chat(prompts.question("json-1"))
    properties = q["response_format"]["json_schema"]["schema"]["properties"]
    kinds = {"string": str, "integer": int}
    model = pydantic.create_model("Answer", **{
        name: (kinds[schema["type"]], ...) for name, schema in properties.items()})
    reply = openai_client.chat.completions.parse(
        model="minnow", temperature=0, **q | {"response_format": model})
    assert reply.choices[0].message.parsed.model_dump() == {
        "name": "Victor", "age": 20, "pet": "goose", "job": "dancer"}


def test_a_stream_of_chat_ends_in_a_model(openai_client):
    with openai_client.chat.completions.stream(
            model="minnow", messages=ASKED, response_format=Person, temperature=1, seed=1) as stream:
        kinds = {event.type for event in stream}
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Person)
    assert {"content.delta", "content.done"} <= kinds


def test_an_answer_that_was_cut_is_told_as_such(openai_client):
    with pytest.raises(openai.LengthFinishReasonError):
        openai_client.chat.completions.parse(
            model="minnow", messages=ASKED, response_format=Person, max_tokens=5)


def test_the_async_client(server):
    async def ask():
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=KEY) as client:
            return await asyncio.gather(*(client.chat.completions.parse(
                model="minnow", messages=ASKED, response_format=Person, seed=seed) for seed in SEEDS))

    assert all(isinstance(reply.choices[0].message.parsed, Person) for reply in asyncio.run(ask()))


@pytest.mark.parametrize("choice, kinds", [
    ("required", (Move, Resign)), ({"type": "function", "function": {"name": "Move"}}, (Move,)),
    ({"type": "function", "function": {"name": "Resign"}}, (Resign,))])
def test_calls_of_chat_are_models(openai_client, choice, kinds):
    tools = [openai.pydantic_function_tool(Move), openai.pydantic_function_tool(Resign)]
    for seed in SEEDS:
        reply = openai_client.chat.completions.parse(
            model="minnow", messages=ASKED, tools=tools, tool_choice=choice, temperature=1, seed=seed,
            parallel_tool_calls=False)
        call, = reply.choices[0].message.tool_calls
        assert isinstance(call.function.parsed_arguments, kinds)


def test_an_answer_of_responses_is_a_model(openai_client):
    for seed in SEEDS:
        reply = openai_client.responses.parse(
            model="minnow", input=ASKED, text_format=Person, temperature=1, extra_body={"seed": seed})
        assert isinstance(reply.output_parsed, Person)
    with openai_client.responses.stream(model="minnow", input=ASKED, text_format=Person) as stream:
        assert [event for event in stream]
        assert isinstance(stream.get_final_response().output_parsed, Person)


def test_calls_of_responses_are_models(openai_client):
    tools = [{"type": "function", "name": "Move", "strict": True,
              "parameters": openai.pydantic_function_tool(Move)["function"]["parameters"]}]
    for seed in SEEDS:
        reply = openai_client.responses.parse(
            model="minnow", input=ASKED, tools=tools, tool_choice="required", temperature=1,
            parallel_tool_calls=False, extra_body={"seed": seed})
        call, = [item for item in reply.output if item.type == "function_call"]
        assert Move.model_validate(call.parsed_arguments)
        assert reply.tools[0].strict and reply.tool_choice == "required" and not reply.parallel_tool_calls


def test_an_answer_of_messages_is_a_model(anthropic_client):
    for seed in SEEDS:
        reply = anthropic_client.messages.parse(
            model="minnow", max_tokens=600, messages=ASKED, output_format=Card,
            extra_body={"seed": seed, "temperature": 1})
        assert isinstance(reply.parsed_output, Card)
    with anthropic_client.messages.stream(
            model="minnow", max_tokens=600, messages=ASKED, output_format=Card) as stream:
        assert isinstance(stream.get_final_message().parsed_output, Card)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "move"}])
def test_calls_of_messages_fit_their_model(anthropic_client, choice):
    schema = anthropic.transform_schema(Move)
    tools = [{"name": "move", "description": "Moves a piece.", "input_schema": schema, "strict": True}]
    for seed in SEEDS:
        reply = anthropic_client.messages.create(
            model="minnow", max_tokens=600, messages=ASKED, tools=tools,
            tool_choice=choice | {"disable_parallel_tool_use": True},
            extra_body={"seed": seed, "temperature": 1})
        call, = reply.content
        assert reply.stop_reason == "tool_use" and call.name == "move"
        assert call.input.keys() == {"piece", "row", "comment"} and call.input["piece"] in ("rook", "king")
