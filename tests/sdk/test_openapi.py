"""GET /openapi.json: a valid description, and one that is true of requests, replies and errors."""

import json
import re

import jsonschema
import openapi_spec_validator
import pytest

import grammar
import test_errors
import test_streams
from serving import ROOT

DOCUMENT = json.loads((ROOT / "src" / "server" / "openapi.json").read_text())
PAGE = (ROOT / "docs" / "API.md").read_text()
REQUESTS = {path: item["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
            for path, item in DOCUMENT["paths"].items() if "post" in item}


def closed(schema):
    """The same, but what it does not name is wrong."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "object" in schema.get("type", ""):
        shut.setdefault("additionalProperties", False)
    return shut


COMPONENTS = {kind: make(DOCUMENT["components"]) for kind, make in
              {"request": lambda components: components, "reply": closed}.items()}


def check(name, value, kind):
    schema = {"$ref": f"#/components/schemas/{name}", "components": COMPONENTS[kind]}
    jsonschema.Draft202012Validator(schema).validate(value)


def check_reply(schema, value):
    schema = closed(schema) | {"components": COMPONENTS["reply"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def ok_response(path, method):
    response = DOCUMENT["paths"][path][method]["responses"]["200"]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].split("/")[-1]]
    return response


def test_the_document_is_valid_and_is_what_the_server_gives(http):
    openapi_spec_validator.validate(DOCUMENT)
    assert http.get("/openapi.json").json() == DOCUMENT


def test_nothing_in_it_is_without_use():
    used = set(re.findall(r'"#/components/(\w+/[\w-]+)"', json.dumps(DOCUMENT)))
    used |= {"securitySchemes/" + name for one in DOCUMENT["security"] for name in one}
    assert used == {f"{kind}/{name}" for kind, all in DOCUMENT["components"].items() for name in all}


@pytest.mark.parametrize("number", range(24))
def test_it_describes_what_is_asked_and_answered(http, number):
    path, body, _ = test_streams.asked(number)
    check(REQUESTS[path], body, "request")
    content = ok_response(path, "post")["content"]
    reply = http.post(path, json=body)
    for _, data in grammar.read_events(reply.content):
        if data != "[DONE]":
            check_reply(content["text/event-stream"]["schema"], json.loads(data))
    body["stream"] = False
    reply = http.post(path, json=body)
    check_reply(content["application/json"]["schema"], reply.json())
    told = {name for name in reply.headers if name.startswith(("x-plumb-", "x-req", "trace"))}
    assert told == set(ok_response(path, "post")["headers"])


CHAT = {"model": "minnow", "messages": test_errors.HELLO}
# What the schemas do not say: what holds of two fields together, or of the last of several messages.
BETWEEN_FIELDS = {
    ("ChatRequest", "logprobs"), ("ChatRequest", "messages[1].tool_call_id"),
    ("ChatRequest", "messages[0].content"), ("ChatRequest", "messages[0].content[0].type"),
    ("ResponsesRequest", "top_logprobs"), ("ResponsesRequest", "input"),
    ("MessagesRequest", "tools[1].name"), ("MessagesRequest", "messages[1]"),
}
REFUSED = [("ChatRequest", CHAT, case[:3])
           for case in test_errors.CHAT_NOT_OFFERED + test_errors.CHAT_WRONG]
REFUSED += [("ResponsesRequest", {"input": "Hello."}, case[:3]) for case in test_errors.RESPONSES_REFUSED]
REFUSED += [("MessagesRequest", CHAT | {"max_tokens": 8}, case) for case in test_errors.ANTHROPIC_REFUSED]
REFUSED = [(name, right, (field, value)) for name, right, (field, value, param) in REFUSED
           if (name, param or field) not in BETWEEN_FIELDS]


@pytest.mark.parametrize("name, right, refused", REFUSED)
def test_it_says_what_is_refused(name, right, refused):
    check(name, right, "request")
    with pytest.raises(jsonschema.ValidationError):
        check(name, right | dict([refused]), "request")


def test_it_describes_errors(http):
    for path, body in {"/v1/chat/completions": {"n": 0}, "/v1/responses": {"store": True},
                       "/v1/messages": {}, "/tokenize": {}, "/v1/models/gpt-9": None}.items():
        reply = http.get(path) if body is None else http.post(path, json=body)
        assert reply.status_code in (400, 404)
        check("AnthropicError" if path == "/v1/messages" else "OpenAIError", reply.json(), "reply")


def test_it_describes_the_small_endpoints(http):
    for path in ("/v1/models", "/models", "/v1/models/{model}", "/health", "/ready", "/version"):
        schema = ok_response(path, "get")["content"]["application/json"]["schema"]
        for headers in ({}, {"anthropic-version": "2023-06-01"}):
            reply = http.get(path.replace("{model}", "gpt-4o"), headers=headers)
            check_reply(schema, reply.json())
    assert http.get("/metrics").headers["content-type"].startswith("text/plain")
    for path, body in {"/tokenize": {"prompt": "a"}, "/detokenize": {"tokens": [1]},
                       "/v1/messages/count_tokens": CHAT}.items():
        check(REQUESTS[path], body, "request")
        schema = ok_response(path, "post")["content"]["application/json"]["schema"]
        check_reply(schema, http.post(path, json=body).json())
    for body in ({"content": "a", "add_special": True}, CHAT | {"return_token_strs": False}):
        check("TokenizeRequest", body, "request")


def fields_of(name):
    schema = DOCUMENT["components"]["schemas"][name]
    names = set(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        names |= fields_of(part["$ref"].split("/")[-1]) if "$ref" in part else set(part["properties"])
    return names


def test_it_names_every_path_and_field_of_the_page():
    paths = set(re.findall(r"`(?:GET|POST) (/[^`]*)`", PAGE))
    assert paths and {path.replace("NAME", "{model}") for path in paths} <= set(DOCUMENT["paths"])
    table = PAGE[PAGE.index("| sampling |"):].split("\n\n")[0]
    named = 0
    for line in table.splitlines():
        if not line.startswith(("| sampling", "| length", "| thinking |", "| log")):
            continue
        for name, cell in zip(("ChatRequest", "ResponsesRequest", "MessagesRequest"),
                              line.split("|")[2:5], strict=True):
            fields = {field.split(".")[0] for field in re.findall(r"`([^`]*)`", cell)}
            assert fields <= fields_of(name), name
            named += len(fields)
    assert named > 20
