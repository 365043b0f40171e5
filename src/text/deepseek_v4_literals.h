// The words of the DeepSeek-V4 chat format: control token names and the three fixed prompt texts
// that the models were trained with.
//
// Protocol literals, exact to the byte. Source: deepseek-ai/DeepSeek-V4-Pro,
// encoding/encoding_dsv4.py (MIT licence, SHA-256
// bdbd57c132a1b3725042323d02b98b9d1df28e5f388f134399555d041f5055e0).
#pragma once

#include <string_view>

namespace plumb::deepseek_v4 {

inline constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEos = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view kUser = "<｜User｜>";
inline constexpr std::string_view kAssistant = "<｜Assistant｜>";
inline constexpr std::string_view kThink = "<think>";
inline constexpr std::string_view kEndThink = "</think>";
inline constexpr std::string_view kDsml = "｜DSML｜";
inline constexpr std::string_view kLatestReminder = "<｜latest_reminder｜>";

// Quick tasks; the control token of task NAME is "<｜NAME｜>".
inline constexpr std::string_view kTasks[] = {"action", "query", "authority",
                                              "domain", "title", "read_url"};
inline constexpr std::string_view kActionTask = "action";

// Opens the prompt at maximal effort. 476 bytes, SHA-256
// f7a24f3b3050d4a83781e9b755b316aae2ec1d9dc87562541d90bcb04d7350f7.
inline constexpr std::string_view kMaxEffort =
    "Reasoning Effort: Absolute maximum with no shortcuts permitted.\n"
    "You MUST be very thorough in your thinking and comprehensively decompose the problem to "
    "resolve the root cause, rigorously stress-testing your logic against all potential "
    "paths, edge cases, and adversarial scenarios.\n"
    "Explicitly write out your entire deliberation process, documenting every intermediate "
    "step, considered alternative, and rejected hypothesis to ensure absolutely no "
    "assumption is left unchecked.\n"
    "\n";

// Teaches the tool syntax. {dsml_token}, {thinking_start_token} and {thinking_end_token} stand for
// control tokens, {tool_schemas} for the schemas, one per line. 1,075 bytes, SHA-256
// 09b7269daaddbeaf11a3ed55c07b1846c35162b841d8b4301bbe0449879d1fd8.
inline constexpr std::string_view kToolsTemplate =
    "## Tools\n"
    "\n"
    "You have access to a set of tools to help answer the user's question. You can invoke "
    "tools by writing a \"<{dsml_token}tool_calls>\" block like the following:\n"
    "\n"
    "<{dsml_token}tool_calls>\n"
    "<{dsml_token}invoke name=\"$TOOL_NAME\">\n"
    "<{dsml_token}parameter name=\"$PARAMETER_NAME\" "
    "string=\"true|false\">$PARAMETER_VALUE</{dsml_token}parameter>\n"
    "...\n"
    "</{dsml_token}invoke>\n"
    "<{dsml_token}invoke name=\"$TOOL_NAME2\">\n"
    "...\n"
    "</{dsml_token}invoke>\n"
    "</{dsml_token}tool_calls>\n"
    "\n"
    "String parameters should be specified as is and set `string=\"true\"`. For all other "
    "types (numbers, booleans, arrays, objects), pass the value in JSON format and set "
    "`string=\"false\"`.\n"
    "\n"
    "If thinking_mode is enabled (triggered by {thinking_start_token}), you MUST output your "
    "complete reasoning inside {thinking_start_token}...{thinking_end_token} BEFORE any tool "
    "calls or final response.\n"
    "\n"
    "Otherwise, output directly after {thinking_end_token} with tool calls or final "
    "response.\n"
    "\n"
    "### Available Tool Schemas\n"
    "\n"
    "{tool_schemas}\n"
    "\n"
    "You MUST strictly follow the above defined tool name and parameter schemas to invoke "
    "tool calls.\n";

// Asks for a reply of a given shape; {schema} stands for the schema. 88 bytes, SHA-256
// 012f31fcc1338bdfe25b132eaf56ab020ee75ab8e649f37b30b8e5f544fb17a5.
inline constexpr std::string_view kResponseFormatTemplate =
    "## Response Format:\n"
    "\n"
    "You MUST strictly adhere to the following schema to reply:\n"
    "{schema}";

}  // namespace plumb::deepseek_v4
