"""What the server refuses, as the packages raise it."""

import anthropic
import openai
import pytest

from conftest import KEY, LIMITED_KEYS, METRICS_KEY

HELLO = [{"role": "user", "content": "Who are you?"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def openai_error(call, kind):
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.request_id and caught.value.type
    return caught.value


def chat(client, **more):
    more = {"model": "minnow", "messages": HELLO} | more
    return lambda: client.chat.completions.create(**more)


# Field of the request -> what of it is not offered, and the name that the error has if another one.
CHAT_NOT_OFFERED = [
    ("audio", {"format": "wav", "voice": "a"}, None),
    ("modalities", ["text", "audio"], None),
    ("prediction", {"type": "content", "content": "a"}, None),
    ("web_search_options", {}, None),
    ("verbosity", "low", None),
    ("include_reasoning", False, None),
    ("best_of", 2, None),
    ("functions", [{"name": "f"}], None),
    ("function_call", "auto", None),
    ("store", True, None),
    ("service_tier", "flex", None),
    ("stream_options", {"continuous_usage_stats": True}, "stream_options.continuous_usage_stats"),
    ("stream_options", {"include_obfuscation": True}, "stream_options.include_obfuscation"),
    ("regex", "a", None),
    ("ebnf", "a", None),
    ("min_tokens", 3, None),
    ("stop_token_ids", [1], None),
    ("bad_words", ["a"], None),
    ("allowed_token_ids", [1], None),
    ("use_beam_search", True, None),
    ("prompt_logprobs", 1, None),
    ("include_stop_str_in_output", True, None),
]

CHAT_WRONG = [
    ("messages", [], None),
    ("messages", "hello", None),
    ("messages", [{"role": "nobody", "content": "a"}], "messages[0].role"),
    ("messages", [{"role": "user"}], "messages[0].content"),
    ("messages", [{"role": "user", "content": [IMAGE]}], "messages[0].content[0].type"),
    ("messages", [*HELLO, {"role": "tool", "content": "a"}], "messages[1].tool_call_id"),
    ("temperature", 2.5, None),
    ("temperature", "warm", None),
    ("top_p", 0, None),
    ("top_k", -2, None),
    ("min_p", 2, None),
    ("n", 0, None),
    ("n", 1000, None),
    ("seed", 0.5, None),
    ("max_tokens", 0, None),
    ("max_completion_tokens", -1, None),
    ("presence_penalty", 3, None),
    ("frequency_penalty", -3, None),
    ("logit_bias", {"five": 1}, None),
    ("logit_bias", {"5": 101}, "logit_bias.5"),
    ("top_logprobs", 3, "logprobs"),
    ("stop", [""], "stop[0]"),
    ("stream", "yes", None),
    ("reasoning_effort", "hardly", None),
    ("response_format", {"type": "poem"}, "response_format.type"),
    ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "a"}},
     "response_format.json_schema.schema"),
    ("response_format", {"type": "json_schema", "json_schema": {"schema": {}, "strict": "yes"}},
     "response_format.json_schema.strict"),
    ("structured_outputs", {"choice": []}, "structured_outputs.choice"),
    ("structured_outputs", {"regex": 3}, "structured_outputs.regex"),
    ("guided_choice", [1], None),
    ("guided_json", 3, None),
    ("thinking_token_budget", -1, None),
    ("parallel_tool_calls", "no", None),
    ("tools", [{"type": "function", "function": {"name": "a b"}}], "tools[0].function.name"),
    ("tools", [{"type": "web_search"}], "tools[0].type"),
    ("tools", [{"type": "function", "function": {"name": "f", "strict": "yes"}}],
     "tools[0].function.strict"),
    ("tool_choice", "perhaps", None),
    ("tool_choice", {"type": "function"}, "tool_choice.function"),
    ("tool_choice", {"type": "function", "function": {}}, "tool_choice.function.name"),
]


@pytest.mark.parametrize("field, value, param", CHAT_NOT_OFFERED)
def test_chat_refuses_what_it_does_not_offer_by_name(openai_client, field, value, param):
    error = openai_error(chat(openai_client, extra_body={field: value}), openai.BadRequestError)
    assert error.param == (param or field) and error.code == "unsupported_parameter"
    assert error.type == "invalid_request_error" and error.param in error.message


@pytest.mark.parametrize("field, value, param", CHAT_WRONG)
def test_chat_refuses_wrong_values_by_name(openai_client, field, value, param):
    error = openai_error(chat(openai_client, extra_body={field: value}), openai.BadRequestError)
    assert error.param == (param or field) and "expected" in error.message


@pytest.mark.parametrize("field, value", [
    ("suffix", "a"), ("best_of", 3), ("tools", [TOOL])])
def test_completions_refuse_what_they_do_not_offer(openai_client, field, value):
    error = openai_error(
        lambda: openai_client.completions.create(
            model="minnow", prompt="a", extra_body={field: value}),
        openai.BadRequestError)
    assert error.param == field and error.code == "unsupported_parameter"


def test_completions_do_not_score_prompts(openai_client):
    error = openai_error(
        lambda: openai_client.completions.create(model="minnow", prompt="a", echo=True, logprobs=1),
        openai.BadRequestError)
    assert error.param == "echo"


RESPONSES_REFUSED = [
    ("previous_response_id", "resp_1", None, "unsupported_parameter"),
    ("conversation", "conv_1", None, "unsupported_parameter"),
    ("store", True, None, "unsupported_parameter"),
    ("background", True, None, "unsupported_parameter"),
    ("prompt", {"id": "p"}, None, "unsupported_parameter"),
    ("truncation", "auto", None, "unsupported_parameter"),
    ("context_management", [{"type": "compaction"}], None, "unsupported_parameter"),
    ("max_tool_calls", 1, None, "unsupported_parameter"),
    ("moderation", {}, None, "unsupported_parameter"),
    ("tools", [{"type": "web_search"}], "tools[0].type", "unsupported_parameter"),
    ("tools", [{"type": "code_interpreter"}], "tools[0].type", "unsupported_parameter"),
    ("tool_choice", {"type": "function"}, "tool_choice.name", None),
    ("text", {"format": {"type": "json_schema", "name": "a"}}, "text.format.schema", None),
    ("text", {"format": {"type": "json_schema", "schema": {}}}, "text.format.name", None),
    ("top_logprobs", 2, None, "unsupported_parameter"),
    ("include", ["file_search_call.results"], "include[0]", "unsupported_value"),
    ("reasoning", {"effort": "hardly"}, "reasoning.effort", None),
    ("max_output_tokens", 0, None, None),
    ("metadata", {"a": 1}, "metadata.a", None),
    ("input", [{"type": "item_reference", "id": "msg_1"}], "input[0]", "unsupported_value"),
    ("input", [{"role": "user", "content": [{"type": "input_image", "image_url": "a"}]}],
     "input[0].content[0].type", "unsupported_parameter"),
    ("input", [], None, None),
    ("input", [{"role": "assistant", "content": "I"}], None, None),
]


@pytest.mark.parametrize("field, value, param, code", RESPONSES_REFUSED)
def test_responses_refuse_by_name(openai_client, field, value, param, code):
    error = openai_error(
        lambda: openai_client.responses.create(
            model="minnow", **{"input": "Hello."} | ({field: value} if field == "input" else {}),
            extra_body=None if field == "input" else {field: value}),
        openai.BadRequestError)
    assert error.param == (param or field) and error.code == code


ANTHROPIC_REFUSED = [
    ("tool_choice", {"type": "perhaps"}, "tool_choice.type"),
    ("tool_choice", {"type": "tool"}, "tool_choice.name"),
    ("output_config", {"format": {"type": "poem"}}, "output_config.format.type"),
    ("tools", [{"type": "web_search_20250305", "name": "web_search"}], "tools[0].type"),
    ("tools", [{"name": "f"}], "tools[0].input_schema"),
    ("tools", [{"name": "f", "input_schema": {}}] * 2, "tools[1].name"),
    ("speed", "fast", "speed"),
    ("service_tier", "batch", "service_tier"),
    ("output_format", {"type": "json_schema"}, "output_format"),
    ("container", "c", "container"),
    ("mcp_servers", [{"type": "url", "url": "a", "name": "b"}], "mcp_servers"),
    ("context_management", {"edits": [{"type": "clear_tool_uses_20250919"}]},
     "context_management.edits[0].type"),
    ("temperature", 1.5, "temperature"),
    ("top_p", 0, "top_p"),
    ("stop_sequences", [""], "stop_sequences[0]"),
    ("max_tokens", -1, "max_tokens"),
    ("max_tokens", None, "max_tokens"),
    ("thinking", {"type": "sometimes"}, "thinking.type"),
    ("system", [{"type": "image"}], "system[0].type"),
    ("messages", [], "messages"),
    ("messages", [{"role": "user", "content": [{"type": "image"}]}], "messages[0].content[0].type"),
    ("messages", [{"role": "nobody", "content": "a"}], "messages[0].role"),
    ("messages", [*HELLO, {"role": "assistant",
                           "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}],
     "messages[1]"),
]


@pytest.mark.parametrize("field, value, name", ANTHROPIC_REFUSED)
def test_messages_refuse_by_name(anthropic_client, field, value, name):
    with pytest.raises(anthropic.BadRequestError) as caught:
        anthropic_client.messages.create(
            model="minnow", max_tokens=8, messages=HELLO, extra_body={field: value})
    error = caught.value
    assert error.body["type"] == "error" and error.body["error"]["type"] == "invalid_request_error"
    assert name in error.body["error"]["message"]
    assert error.body["request_id"] == error.request_id == error.response.headers["request-id"]


# What cannot be kept is found where the grammar is made, after the fields were read.
NOT_KEPT = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
STRICT = {"name": "f", "strict": True}


def test_contracts_that_cannot_be_kept_are_refused_by_name(openai_client, anthropic_client):
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": NOT_KEPT}}
    tool = {"type": "function", "function": STRICT | {"parameters": NOT_KEPT}}
    named = {"type": "function", "function": {"name": "g"}}
    for more, names in (({"response_format": form}, ["$.properties.a.uniqueItems"]),
                        ({"tools": [tool]}, ['"f"', "$.properties.a.uniqueItems"]),
                        ({"tools": [TOOL], "tool_choice": named}, ['"g"']),
                        ({"tool_choice": "required"}, ["tool"])):
        error = openai_error(chat(openai_client, **more), openai.BadRequestError)
        assert all(name in error.message for name in names)
    for more, names in (({"output_config": {"format": {"type": "json_schema", "schema": NOT_KEPT}}},
                         ["$.properties.a.uniqueItems"]),
                        ({"tools": [STRICT | {"input_schema": NOT_KEPT}]},
                         ['"f"', "$.properties.a.uniqueItems"]),
                        ({"tool_choice": {"type": "any"}}, ["tool"])):
        with pytest.raises(anthropic.BadRequestError) as caught:
            anthropic_client.messages.create(model="minnow", max_tokens=8, messages=HELLO, **more)
        assert all(name in caught.value.body["error"]["message"] for name in names)


def test_openais_client_without_the_right_key(server):
    for key, kind, code in (("sk-a-wrong-key-0123456789", openai.AuthenticationError, "invalid_api_key"),
                            (METRICS_KEY, openai.PermissionDeniedError, "forbidden")):
        with openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0) as client:
            error = openai_error(chat(client), kind)
            assert error.code == code
            openai_error(lambda client=client: client.models.list(), kind)


def test_anthropics_client_without_the_right_key(server):
    for key, kind in (("sk-a-wrong-key-0123456789", anthropic.AuthenticationError),
                      (METRICS_KEY, anthropic.PermissionDeniedError)):
        with anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0) as client:
            with pytest.raises(kind) as caught:
                client.messages.create(model="minnow", max_tokens=8, messages=HELLO)
            assert caught.value.body["type"] == "error"


def test_a_key_may_come_as_a_bearer_of_anthropics_client(server):
    with anthropic.Anthropic(base_url=server.url, auth_token=KEY, api_key=None) as client:
        assert client.messages.create(model="minnow", max_tokens=8, messages=HELLO).content


def test_models_that_do_not_exist(openai_client, anthropic_client):
    error = openai_error(chat(openai_client, model="gpt-9"), openai.NotFoundError)
    assert error.code == "model_not_found" and "gpt-9" in error.message and "minnow" in error.message
    openai_error(lambda: openai_client.models.retrieve("gpt-9"), openai.NotFoundError)
    for call in (lambda: anthropic_client.models.retrieve("gpt-9"),
                 lambda: anthropic_client.messages.create(
                     model="gpt-9", max_tokens=8, messages=HELLO)):
        with pytest.raises(anthropic.NotFoundError) as caught:
            call()
        assert caught.value.body["error"]["type"] == "not_found_error"


def test_paths_that_do_not_exist(openai_client):
    error = openai_error(lambda: openai_client.embeddings.create(model="minnow", input="a"),
                         openai.NotFoundError)
    assert "/v1/embeddings" in error.message


def test_a_limit_of_openais_client(server):
    key = LIMITED_KEYS["openai"]
    with openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0) as client:
        first = client.chat.completions.with_raw_response.create(
            model="minnow", messages=HELLO, max_tokens=4)
        assert first.headers["x-ratelimit-limit-requests"] == "1"
        assert first.headers["x-ratelimit-remaining-requests"] == "0"
        error = openai_error(chat(client), openai.RateLimitError)
    assert error.code == "rate_limit_exceeded" and error.type == "rate_limit_error"
    assert 1 <= int(error.response.headers["retry-after"]) <= 60


def test_a_limit_of_anthropics_client(server):
    with anthropic.Anthropic(
            base_url=server.url, api_key=LIMITED_KEYS["anthropic"], max_retries=0) as client:
        options = {"model": "minnow", "max_tokens": 4, "messages": HELLO}
        first = client.messages.with_raw_response.create(**options)
        assert first.headers["anthropic-ratelimit-requests-remaining"] == "0"
        with pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.create(**options)
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60


def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(openai_client, anthropic_client):
    long = [{"role": "user", "content": "Many people walk along the river. " * 3000}]
    error = openai_error(chat(openai_client, messages=long), openai.BadRequestError)
    assert error.code == "context_length_exceeded" and "8192" in error.message
    with pytest.raises(anthropic.BadRequestError) as caught:
        anthropic_client.messages.create(model="minnow", max_tokens=8, messages=long)
    assert "8192" in caught.value.body["error"]["message"]


def test_bodies_that_are_too_large_or_no_json(openai_client, http):
    large = [{"role": "user", "content": "a" * (2 << 20)}]
    error = openai_error(chat(openai_client, messages=large), openai.APIStatusError)
    assert error.status_code == 413
    for body in (b"", b"{", b"[]", b"null", b'{"a": 1} 2'):
        reply = http.post("/v1/chat/completions", content=body)
        assert reply.status_code == 400 and reply.json()["error"]["type"] == "invalid_request_error"
    assert http.get("/v1/chat/completions").status_code == 405
