"""The DeepSeek-V4 chat format, the parts minnow is trained on: chat and thinking modes, tools,
tool results, response format, several turns. Control tokens appear by name in the text; the
training data never contains them elsewhere, so encoding the joined text is unambiguous."""

import json

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
THINK, END_THINK, DSML = "<think>", "</think>", "｜DSML｜"

# Protocol literals (DeepSeek-V4 encoding_dsv4.py, MIT): the bytes the format prescribes.
TOOLS = (
    "## Tools\n\nYou have access to a set of tools to help answer the user's question. You can "
    'invoke tools by writing a "<{D}tool_calls>" block like the following:\n\n<{D}tool_calls>\n'
    '<{D}invoke name="$TOOL_NAME">\n<{D}parameter name="$PARAMETER_NAME" string="true|false">'
    "$PARAMETER_VALUE</{D}parameter>\n...\n</{D}invoke>\n"
    '<{D}invoke name="$TOOL_NAME2">\n...\n</{D}invoke>\n</{D}tool_calls>\n\n'
    'String parameters should be specified as is and set `string="true"`. For all other types '
    "(numbers, booleans, arrays, objects), pass the value in JSON format and set "
    '`string="false"`.\n\n'
    "If thinking_mode is enabled (triggered by {T}), you MUST output your complete reasoning "
    "inside {T}...{E} BEFORE any tool calls or final response.\n\n"
    "Otherwise, output directly after {E} with tool calls or final response.\n\n"
    "### Available Tool Schemas\n\n{S}\n\nYou MUST strictly follow the above defined tool name "
    "and parameter schemas to invoke tool calls.\n"
)
FORMAT = "## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n"


def dumps(value):
    return json.dumps(value, ensure_ascii=False)


def tools_text(tools):
    text = TOOLS.replace("{D}", DSML).replace("{T}", THINK).replace("{E}", END_THINK)
    return text.replace("{S}", "\n".join(dumps(t["function"]) for t in tools))


def calls_text(calls):
    lines = []
    for call in calls:
        arguments = json.loads(call["function"]["arguments"])
        parameters = "\n".join(
            f'<{DSML}parameter name="{k}" string="{"true" if isinstance(v, str) else "false"}">'
            f"{v if isinstance(v, str) else dumps(v)}</{DSML}parameter>"
            for k, v in arguments.items()
        )
        lines.append(f'<{DSML}invoke name="{call["function"]["name"]}">\n{parameters}\n</{DSML}invoke>')
    return f"\n\n<{DSML}tool_calls>\n" + "\n".join(lines) + f"\n</{DSML}tool_calls>"


def merge_tool_results(messages):
    """Tool messages become user messages, joined with what the user says next to them."""
    merged = []
    for message in messages:
        text = message.get("content") or ""
        if message["role"] == "tool":
            text = f"<tool_result>{text}</tool_result>"
        if message["role"] in ("user", "tool"):
            if merged and merged[-1]["role"] == "user":
                merged[-1]["content"] += "\n\n" + text
            else:
                merged.append({"role": "user", "content": text})
        else:
            merged.append(message)
    return merged


def render(messages, tools=None, thinking=False):
    """-> list of (text, trained): `trained` marks what the assistant must produce itself.

    A request's tools and response format belong to its leading system message."""
    messages = merge_tool_results(messages)
    if tools and (not messages or messages[0]["role"] != "system"):
        messages = [{"role": "system", "content": ""}] + messages
    last_user = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=-1)
    keep_all = bool(tools)
    out = [(BOS, False)]
    for i, message in enumerate(messages):
        role, text = message["role"], message.get("content") or ""
        if role == "system":
            if tools:
                text += "\n\n" + tools_text(tools)
            if message.get("response_format"):
                text += "\n\n" + FORMAT + dumps(message["response_format"])
            out.append((text, False))
        elif role == "user":
            out.append((USER + text, False))
            if i + 1 == len(messages) or messages[i + 1]["role"] == "assistant":
                opens = thinking and (keep_all or i >= last_user)
                out.append((ASSISTANT + (THINK if opens else END_THINK), False))
        else:
            reply = text
            if thinking and (keep_all or i > last_user):
                reply = message.get("reasoning_content", "") + END_THINK + reply
            if message.get("tool_calls"):
                reply += calls_text(message["tool_calls"])
            out.append((reply + EOS, True))
    return out


def prompt_text(messages, tools=None, thinking=False):
    return "".join(text for text, _ in render(messages, tools, thinking))
