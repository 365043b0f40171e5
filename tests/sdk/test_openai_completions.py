"""Completions with the openai package: raw text goes on."""

import openai
import pytest
from openai.types import Completion

from strict import strict

PROMPTS = ["The lamp is red. The", "Vera likes", "There is snow"]


def ask(client, prompt, **more):
    more = {"model": "minnow", "max_tokens": 6, "temperature": 0} | more
    raw = client.completions.with_raw_response.create(prompt=prompt, **more)
    return strict(Completion, raw.content)


def texts(client, prompt, **more):
    return [choice.text for choice in ask(client, prompt, **more).choices]


def test_text_and_its_ids_go_on_in_the_same_way(openai_client, http):
    answer, = texts(openai_client, PROMPTS[0])
    assert answer
    ids = http.post("/tokenize", json={"prompt": PROMPTS[0]}).json()["tokens"]
    assert texts(openai_client, ids) == [answer]
    stream = openai_client.completions.create(
        model="minnow", prompt=PROMPTS[0], max_tokens=6, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == answer


def test_a_prompt_among_others_has_the_answer_that_it_has_alone(openai_client):
    more = {"temperature": 1, "seed": 4}
    alone = [texts(openai_client, prompt, **more)[0] for prompt in PROMPTS]
    reply = ask(openai_client, PROMPTS, **more)
    assert [choice.text for choice in reply.choices] == alone
    assert [choice.index for choice in reply.choices] == [0, 1, 2]


def test_n_answers_to_each_of_several_prompts(openai_client):
    reply = ask(openai_client, PROMPTS[:2], n=2, temperature=1, seed=1)
    assert len(reply.choices) == 4
    assert reply.choices[0].text == texts(openai_client, PROMPTS[0], temperature=1, seed=1)[0]


def test_echo_puts_the_prompt_before_the_answer(openai_client):
    answer, = texts(openai_client, PROMPTS[1])
    assert texts(openai_client, PROMPTS[1], echo=True) == [PROMPTS[1] + answer]
    assert texts(openai_client, PROMPTS[1], echo=True, max_tokens=0) == [PROMPTS[1]]


def test_log_probabilities_have_four_lists_of_one_length(openai_client):
    choice = ask(openai_client, PROMPTS[0], logprobs=2).choices[0]
    lists = choice.logprobs
    assert len(lists.tokens) == len(lists.token_logprobs) == len(lists.top_logprobs)
    assert "".join(lists.tokens).startswith(choice.text)
    assert lists.text_offset[0] == 0 and lists.text_offset == sorted(lists.text_offset)


def test_sixteen_tokens_unless_more_are_asked_for(openai_client):
    reply = openai_client.completions.create(
        model="minnow", prompt="The", extra_body={"ignore_eos": True})
    assert reply.usage.completion_tokens == 16


def test_tokens_become_text_again(http):
    ids = http.post("/tokenize", json={"prompt": "Vera likes cheese.", "add_special_tokens": False})
    assert ids.json()["count"] == len(ids.json()["tokens"])
    text = http.post("/detokenize", json={"tokens": ids.json()["tokens"]}).json()
    assert text["prompt"] == "Vera likes cheese."


def test_an_empty_prompt_is_the_beginning_of_a_text(openai_client):
    assert ask(openai_client, "").usage.prompt_tokens == 1


@pytest.mark.parametrize("prompt", [[], [[]], [1, "a"], [[1], [100000]], {"a": 1}])
def test_prompts_that_are_none(openai_client, prompt):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(openai_client, prompt)
    assert "prompt" in (caught.value.param or caught.value.message) or "100000" in str(caught.value)
