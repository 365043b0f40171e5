"""The bundled model's own questions (tests/minnow), as each format asks them."""

import functools
import json

from serving import ROOT


@functools.cache
def questions() -> tuple[dict, ...]:
    text = (ROOT / "tests" / "minnow" / "gate.jsonl").read_text()
    return tuple(json.loads(line) for line in text.splitlines())


def question(name: str) -> dict:
    return next(q for q in questions() if q["id"] == name)


def as_chat(q: dict) -> dict:
    body = {"messages": q["messages"], "max_tokens": q["max_tokens"]}
    if "tools" in q:
        body["tools"] = q["tools"]
    if "response_format" in q:
        schema = {"name": "answer", "schema": q["response_format"]}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if q["thinking"] != "chat":
        body["reasoning_effort"] = q["thinking"]
    return body


def as_completion(q: dict) -> dict:
    return {"prompt": q["messages"][-1]["content"], "max_tokens": q["max_tokens"]}


def as_responses(q: dict) -> dict:
    body = {"input": [], "max_output_tokens": q["max_tokens"]}
    for message in q["messages"]:
        if message["role"] == "tool":
            body["input"].append({"type": "function_call_output", "output": message["content"],
                                  "call_id": message["tool_call_id"]})
            continue
        if message["content"]:
            body["input"].append({"role": message["role"], "content": message["content"]})
        for call in message.get("tool_calls", []):
            body["input"].append({"type": "function_call", "call_id": call["id"], **call["function"]})
    if "tools" in q:
        body["tools"] = [{"type": "function", **tool["function"]} for tool in q["tools"]]
    if "response_format" in q:
        schema = {"type": "json_schema", "name": "answer", "schema": q["response_format"]}
        body["text"] = {"format": schema}
    if q["thinking"] != "chat":
        body["reasoning"] = {"effort": q["thinking"]}
    return body


def as_messages(q: dict) -> dict:
    """Without a schema for the answer, which this format has no words for here."""
    body = {"messages": [], "max_tokens": q["max_tokens"]}
    for message in q["messages"]:
        role, content = message["role"], message["content"]
        if role == "system":
            body["system"] = content
        elif role == "tool":
            result = {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": content}
            body["messages"].append({"role": "user", "content": [result]})
        else:
            blocks = [{"type": "text", "text": content}] if content else []
            for call in message.get("tool_calls", []):
                function = call["function"]
                blocks.append({"type": "tool_use", "id": call["id"], "name": function["name"],
                               "input": json.loads(function["arguments"])})
            body["messages"].append({"role": role, "content": blocks})
    if "tools" in q:
        body["tools"] = [as_anthropic_tool(tool["function"]) for tool in q["tools"]]
    if q["thinking"] != "chat":
        body["thinking"] = {"type": "adaptive"}
    return body


def as_anthropic_tool(function: dict) -> dict:
    return {"name": function["name"], "description": function["description"],
            "input_schema": function["parameters"]}
