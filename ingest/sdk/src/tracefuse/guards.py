"""Whether what goes in or comes out has the form that was agreed, and what is said instead. Pure.

A form is a type that msgspec understands: a struct, a dataclass, a TypedDict, `dict[str, int]`; or a JSON
Schema, as files of agents declare it. Text is read as JSON, since that is how models answer.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from tracefuse import forms
from tracefuse.canonical import NotJSON, canonical

# Of a reason: it becomes a template, and what people read.
WORDS_MAX = 300


def misfit(value: object, schema: Any) -> str:
    """Why a value does not have a form, in words; empty where it has. Never raises for the value.

    >>> misfit('{"amount": 5}', dict[str, int]), misfit("five euros", dict[str, int])
    ('', 'JSON is malformed: invalid character (byte 5)')
    """
    if isinstance(schema, Mapping):
        return _misfit(value, schema)
    try:
        if isinstance(value, (str, bytes)) and schema is not str and schema is not bytes:
            msgspec.json.decode(value, type=schema)
        else:
            msgspec.convert(value, schema, from_attributes=True)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return str(error)[:WORDS_MAX] or "it does not have the form"
    return ""


def _misfit(value: object, schema: Mapping[str, Any]) -> str:
    """The same where the form is a JSON Schema."""
    try:
        plain = value.decode() if isinstance(value, bytes) else value
        found = forms.misfit(msgspec.json.decode(canonical(plain)), schema)
    except (NotJSON, UnicodeDecodeError):
        found = forms.Misfit("unreadable", "")
    return forms.words(found) if found is not None else ""


def instead(text: str, schema: Any) -> object:
    """A declared fallback in the form that was asked for, else as the text that it is.

    >>> instead('{"amount": 0}', dict[str, int]), instead("Please call us.", dict[str, int])
    ({'amount': 0}, 'Please call us.')
    """
    try:
        if isinstance(schema, Mapping):
            said: object = msgspec.json.decode(text)
            return text if _misfit(said, schema) else said
        return msgspec.json.decode(text, type=schema)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return text
