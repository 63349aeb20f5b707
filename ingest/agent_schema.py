"""The schema of agents' files, made from their fields: JSON Schema for editors, meanings for readers. Pure.

What a field means is said once, in the docstring of its struct.
"""

import inspect
import re
from typing import Any

import msgspec

from ingest import agent_file
from ingest.agent_file import AgentFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SECTION = re.compile(r"^(\w+)\n-{3,}$", re.MULTILINE)
_FIELD = re.compile(r"^(\w+(?:, \w+)*)\n((?: {4}.*\n?)+)", re.MULTILINE)


def schema() -> dict[str, Any]:
    """JSON Schema of an agent's file."""
    made = {"$schema": DIALECT, **msgspec.json.schema(AgentFile)}
    # Its regular expressions are JavaScript's, where `$` is the end of the text and `\Z` is not.
    text = msgspec.json.encode(made, order="sorted").replace(b'\\\\Z"', b'$"')
    found: dict[str, Any] = msgspec.json.decode(text)
    for name, definition in found["$defs"].items():
        struct = getattr(agent_file, name)
        definition["description"] = summary(struct)
        for field, words in meanings(struct).items():
            definition["properties"][field]["description"] = words
    return found


def summary(struct: type[msgspec.Struct]) -> str:
    """First paragraph of a struct's docstring.

    >>> summary(agent_file.Limits)
    'Calls of one access class; 0 means no cap.'
    """
    return " ".join(inspect.getdoc(struct).split("\n\n")[0].split())  # type: ignore[union-attr]


def meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What each field means; fields that are explained together share their words.

    >>> meanings(agent_file.Tool)["undo"]
    'Name of the tool that takes a call of this one back.'
    """
    parts = _SECTION.split(inspect.getdoc(struct) or "")
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found: dict[str, str] = {}
    for names, words in _FIELD.findall(sections.get("Parameters", "")):
        for name in names.split(", "):
            found[name] = " ".join(words.split())
    return found
