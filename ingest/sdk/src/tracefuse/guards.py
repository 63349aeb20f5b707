"""Whether what goes in or comes out has the form that was agreed, and what is said instead. Pure.

A form is a type that msgspec understands: a struct, a dataclass, a TypedDict, `dict[str, int]`. Text is read
as JSON, since that is how models answer.
"""

from typing import Any

import msgspec

# Of a reason: it becomes a template, and what people read.
WORDS_MAX = 300


def misfit(value: object, schema: Any) -> str:
    """Why a value does not have a form, in words; empty where it has. Never raises for the value.

    >>> misfit('{"amount": 5}', dict[str, int]), misfit("five euros", dict[str, int])
    ('', 'JSON is malformed: invalid character (byte 5)')
    """
    try:
        if isinstance(value, (str, bytes)) and schema is not str and schema is not bytes:
            msgspec.json.decode(value, type=schema)
        else:
            msgspec.convert(value, schema, from_attributes=True)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return str(error)[:WORDS_MAX] or "it does not have the form"
    return ""


def instead(text: str, schema: Any) -> object:
    """A declared fallback in the form that was asked for, else as the text that it is.

    >>> instead('{"amount": 0}', dict[str, int]), instead("Please call us.", dict[str, int])
    ({'amount': 0}, 'Please call us.')
    """
    try:
        return msgspec.json.decode(text, type=schema)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return text
