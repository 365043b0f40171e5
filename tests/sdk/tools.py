"""Tools with parameters of many kinds, as each format offers them."""

import dataclasses

S, I, B = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


def text(most, **more):
    return S | {"maxLength": most} | more


def whole(least, most):
    return I | {"minimum": least, "maximum": most}


def members(properties, required=None, **more):
    required = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": required,
            "additionalProperties": False} | more


def or_null(schema):
    return {"anyOf": [schema, {"type": "null"}]}


@dataclasses.dataclass(frozen=True)
class Tool:
    name: str
    parameters: dict
    strict: bool | None = None  # None: the field is left out
    exact: bool = True  # the arguments of calls satisfy the parameters; else they are JSON

    def for_chat(self) -> dict:
        return {"type": "function", "function": self._function()}

    def for_responses(self) -> dict:
        return {"type": "function"} | self._function()

    def for_messages(self) -> dict:
        tool = {"name": self.name, "description": self._description(), "input_schema": self.parameters}
        return tool if self.strict is None else tool | {"strict": self.strict}

    def _description(self) -> str:
        return f"Does what {self.name.replace('_', ' ')} says."

    def _function(self) -> dict:
        function = {"name": self.name, "description": self._description(), "parameters": self.parameters}
        return function if self.strict is None else function | {"strict": self.strict}


TOOLS = [
    Tool("get_weather", members({"city": text(20), "unit": {"enum": ["celsius", "fahrenheit"]}}), True),
    Tool("add", members({"a": whole(-999, 999), "b": whole(-999, 999)})),
    Tool("set_alarm", members({"hour": whole(0, 23), "minute": whole(0, 59), "label": or_null(text(16)),
                               "days": {"type": "array", "items": {"enum": ["mon", "tue", "sun"]},
                                        "maxItems": 3}}, ["hour", "minute"])),
    Tool("search", members({"query": text(30), "limit": whole(1, 50),
                            "filters": members({"language": {"enum": ["de", "en", "日本語"]},
                                                "after": or_null(S | {"format": "date"})}, ["language"])},
                           ["query"])),
    Tool("create_event", members({
        "title": text(24), "starts": S | {"format": "date-time"},
        "guests": {"type": "array", "items": S | {"format": "email"}, "maxItems": 2},
        "place": members({"room": S | {"pattern": "^[A-Z][0-9]{3}$"}, "floor": whole(0, 9)})},
        ["title", "starts", "place"]), True),
    Tool("move", members({"x": {"type": "number", "minimum": -1, "maximum": 1},
                          "y": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100},
                          "steps": I | {"multipleOf": 5, "minimum": 5, "maximum": 50}}, ["x", "y"])),
    Tool("ping", members({}), True),
    Tool("now", {"type": "object", "properties": {}}, exact=False),  # any other members are let through
    Tool("edit_file", members({
        "path": S | {"pattern": "^[a-z]+(/[a-z]+)*\\.(py|cc|md)$"},
        "edits": {"type": "array", "minItems": 1, "maxItems": 2,
                  "items": members({"line": whole(1, 9999), "text": {"type": ["string", "null"],
                                                                     "maxLength": 20}})}})),
    Tool("paint", members({"color": S | {"pattern": "^#[0-9a-f]{6}$"}, "opacity": {"enum": [0, 0.5, 1]},
                           "layers": {"type": "array", "prefixItems": [text(5), whole(0, 9)],
                                      "items": False}}, ["color", "layers"]), False),
    Tool("note", members({"text": {"type": ["string", "null"], "maxLength": 24},
                          "level": {"type": ["string", "integer"], "maxLength": 6, "minimum": 1,
                                    "maximum": 5},
                          "pinned": or_null(B)}, ["text", "level", "pinned"]), True),
    Tool("grow_tree", members({"tree": {"$ref": "#/$defs/tree"}}, **{"$defs": {
        "tree": members({"leaf": whole(0, 9), "more": {"type": "array", "maxItems": 1,
                                                        "items": {"$ref": "#/$defs/tree"}}})}}), True),
    Tool("count_words", {"type": "object", "properties": {"counts": {
        "type": "object", "additionalProperties": whole(0, 99), "maxProperties": 3}},
        "required": ["counts"]}),
    Tool("resize", members({"größe": whole(1, 300), "名前": {"enum": ["太郎", "花子"]}, "x-y.z": B},
                           ["größe", "名前"])),
    Tool("say", members({"words": {"enum": ["", " ", "a\nb", "\"quoted\"", "back\\slash", "</invoke>", "null",
                                            "true", "7", "{\"a\": 1}", "<｜end｜>", "😀", "\t", "it's\n"]},
                         "again": {"enum": [None, "null", 0, "0"]}}), True),
    Tool("pay", {"type": "object", "oneOf": [
        members({"method": {"const": "card"}, "last": S | {"pattern": "^[0-9]{4}$"}}),
        members({"method": {"const": "cash"}, "coins": whole(1, 99)})]}, True),
    Tool("open_door", {"$ref": "#/$defs/door", "$defs": {"door": members({"door": whole(1, 3)})}}),
    Tool("remember", {"type": "object", "additionalProperties": text(12)}),
    # Keywords that no grammar holds, in a tool without strict.
    Tool("tag", {"type": "object", "properties": {"tags": {"type": "array", "items": text(8),
                                                           "uniqueItems": True, "maxItems": 2},
                                                  "code": S | {"pattern": "^(?=.*[0-9])[a-z0-9]{4}$"}},
                 "required": ["tags"], "not": {"required": ["never"]}}, exact=False),
]
BY_NAME = {tool.name: tool for tool in TOOLS}
