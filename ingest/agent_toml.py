"""Agents' files as text, as a person would write them: only what differs from the defaults. Pure."""

import json
import re
from typing import Any

import msgspec
from msgspec import structs

from ingest.agent_file import AgentFile

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def written(agent: AgentFile) -> str:
    r"""TOML text that parses to the same agent.

    >>> written(AgentFile("refunds", tenant="acme"))
    'agent = "refunds"\ntenant = "acme"\n'
    """
    return "\n".join(_table(_plain(agent), "")) + "\n"


def _plain(value: Any) -> Any:
    """Plain values, without what equals its default: msgspec leaves out only what is the default itself."""
    if isinstance(value, msgspec.Struct):
        known = [(field, getattr(value, field.name)) for field in structs.fields(value)]
        return {field.name: _plain(one) for field, one in known if one != _default(field)}
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _default(field: structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def _table(table: dict[str, Any], name: str) -> list[str]:
    """Lines of a table: its own values first, then what lies within it."""
    inner = {key: value for key, value in table.items() if _nests(key, value)}
    own = [f"{_key(key)} = {inline(v)}" for key, v in table.items() if key not in inner]
    lines = list(own)
    if name and (own or not inner):
        lines = ["", f"[{name}]", *own]
    for key, value in inner.items():
        path = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(value, dict):
            lines += _table(value, path)
            continue
        for item in value:
            lines += ["", f"[[{path}]]", *(f"{_key(k)} = {inline(v)}" for k, v in item.items())]
    return lines


def _nests(key: str, value: Any) -> bool:
    if isinstance(value, dict):
        return key != "result"  # a schema stands on one line
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else inline(key)


def inline(value: Any) -> str:
    """One value on one line.

    >>> inline({"name": "Payments", "routes": ("alertmanager",)})
    '{ name = "Payments", routes = ["alertmanager"] }'
    """
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {inline(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    return repr(value)
