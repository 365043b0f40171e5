"""JSON against JSON Schema, as the jsonschema package reads both, formats included."""

import json

import jsonschema

KIND = jsonschema.Draft202012Validator
FORMATS = {"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}
assert FORMATS <= set(KIND.FORMAT_CHECKER.checkers), "A package that checks a format is missing."


def wrong(schema: object, value: object) -> str | None:
    """None, or what of `value` the schema does not let through."""
    error = next(KIND(schema, format_checker=KIND.FORMAT_CHECKER).iter_errors(value), None)
    return error and f"{error.json_path}: {error.message[:300]}"


def wrong_text(schema: object, text: str) -> str | None:
    """The same of JSON as text."""
    try:
        return wrong(schema, json.loads(text))
    except ValueError as error:
        return f"no JSON ({error}): {text[:300]}"
