"""Replies against the packages' own types. The packages themselves build their objects without
looking; here a missing field, a wrong type or a field that a package does not know is an error."""

import functools
from typing import Any

import pydantic

# Fields that other clients read and the packages do not know, by the name of the type that has them.
EXTENSIONS = {
    "ChoiceDelta": {"reasoning_content"},
    "ChatCompletionMessage": {"reasoning_content"},
    "CompletionTokensDetails": {"brake"},
    "OutputTokensDetails": {"brake"},
    "Logprob": {"bytes"},
    "LogprobTopLogprob": {"bytes"},
    "Model": {"root", "max_model_len"},
    "ResponseFunctionCallArgumentsDoneEvent": {"name"},
    "Response": {"frequency_penalty", "presence_penalty", "store"},
}


@functools.cache
def adapter(kind: Any) -> pydantic.TypeAdapter:
    return pydantic.TypeAdapter(kind)


def check_fields(value: Any) -> None:
    if isinstance(value, (list, tuple)):
        for item in value:
            check_fields(item)
    elif isinstance(value, dict):
        check_fields(list(value.values()))
    elif isinstance(value, pydantic.BaseModel):
        name = type(value).__name__
        unknown = set(value.model_extra or {}) - EXTENSIONS.get(name, set())
        assert not unknown, f"{name} has no {sorted(unknown)}"
        check_fields([getattr(value, field) for field in type(value).model_fields])


def strict(kind: Any, data: bytes | str) -> Any:
    """What the JSON text `data` is as `kind`, with nothing converted and nothing left over."""
    value = adapter(kind).validate_json(data, strict=True)
    check_fields(value)
    return value
