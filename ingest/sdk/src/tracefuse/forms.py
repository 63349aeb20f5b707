"""Whether a value has the form that a JSON Schema declares: what is wrong first, and at which field. Pure.

What is told are words of the schema, never of the value: names that it does not declare show as `*`, places
in a list as `[]`. What a schema says beyond the keywords below (`pattern`, `format`, `not`, conditions) is
not checked, so nothing is called wrong that a complete check would call right.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

# What is looked at of one value: about 4 ms. Beyond it a value is taken to have its form.
LEFT_MAX = 4096
DEPTH_MAX = 32
# References that lead to references.
HOPS_MAX = 8
PATH_MAX = 200
# Where the Model Context Protocol puts the part of a result that its schema describes.
STRUCTURED = "structuredContent"

_TYPES: dict[str, Any] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "number": lambda value: _is_number(value),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, (list, tuple)),
    "object": lambda value: isinstance(value, dict),
}
_decode = msgspec.json.Decoder().decode


class Misfit(NamedTuple):
    """What is wrong: `missing`, `type`, `value`, `extra`, `unreadable`; and the field, if it is one."""

    what: str
    path: str


def misfit(value: object, schema: Mapping[str, Any]) -> Misfit | None:
    """What is wrong first with a value of exact JSON types; None where nothing is. Never raises.

    Text is read as JSON where the schema wants no text, since that is how many tools answer.

    Notes
    -----
    About 1 µs a field; at most 4 ms.

    Examples
    --------
    >>> form = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}
    >>> misfit({"total": 5}, form), misfit({"sum": 5}, form), misfit('{"total": "5"}', form)
    (None, Misfit(what='missing', path='total'), Misfit(what='type', path='total'))
    """
    try:
        return _read(value, schema)
    except Exception:  # a schema that is none: it says nothing, and its agent must not hear of it
        return None


def _read(value: object, schema: Mapping[str, Any]) -> Misfit | None:
    if (
        isinstance(value, dict)
        and STRUCTURED in value
        and STRUCTURED not in schema.get("properties", ())
    ):
        value = value[STRUCTURED]
        if value is None:  # a failure, told as the protocol tells it
            return None
    found = _Check(schema).value(value, schema, "", 0)
    if found is None or not isinstance(value, str):
        return found
    try:
        read = _decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Misfit("unreadable", "")
    return _Check(schema).value(read, schema, "", 0)


def words(found: Misfit) -> str:
    """The same for people.

    >>> words(Misfit("missing", "items[].price")), words(Misfit("unreadable", ""))
    ('`items[].price` is missing', 'it is no JSON')
    """
    return f"`{found.path}` {WORDS[found.what]}" if found.path else f"it {WORDS[found.what]}"


WORDS = {
    "missing": "is missing",
    "type": "has another type",
    "value": "has a value that is not allowed",
    "extra": "holds a field that is not declared",
    "unreadable": "is no JSON",
}


class _Check:
    """One walk over a value beside its schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = LEFT_MAX

    def value(self, value: object, schema: Any, path: str, depth: int) -> Misfit | None:
        self._left -= 1
        if self._left < 0 or depth > DEPTH_MAX or schema is True:
            return None
        if schema is False:
            return Misfit("value", path[:PATH_MAX])
        types = schema.get("type")
        if types is not None:
            known = (types,) if isinstance(types, str) else types
            if not any(one not in _TYPES or _TYPES[one](value) for one in known):
                return Misfit("type", path[:PATH_MAX])
            if len(schema) == 1:  # as most are
                return None
        found = self._limited(value, schema, path)
        if found is None and "$ref" in schema:
            found = self._referred(value, schema, path, depth)
        if found is None and not _JOINTS.isdisjoint(schema):
            found = self._joined(value, schema, path, depth)
        if found is None and isinstance(value, (dict, list, tuple)):
            found = self._inside(value, schema, path, depth)
        return found

    def _limited(self, value: object, schema: Mapping[str, Any], path: str) -> Misfit | None:
        """Allowed values and bounds."""
        if "enum" in schema:
            self._left -= len(schema["enum"])
            if self._left >= 0 and value not in schema["enum"]:
                return Misfit("value", path[:PATH_MAX])
        if "const" in schema and value != schema["const"]:
            return Misfit("value", path[:PATH_MAX])
        if _BOUNDS.isdisjoint(schema):
            return None
        return None if _bounded(value, schema) else Misfit("value", path[:PATH_MAX])

    def _referred(
        self, value: object, schema: Mapping[str, Any], path: str, depth: int
    ) -> Misfit | None:
        hops = 0
        while isinstance(reference := schema.get("$ref"), str):
            schema, hops = self._at(reference), hops + 1
            if hops == HOPS_MAX:
                return None
            if "$ref" not in schema:
                return self.value(value, schema, path, depth + 1)
        return None

    def _at(self, reference: str) -> Any:
        """What a reference within the schema names; all else says nothing."""
        found: Any = self._root
        if not reference.startswith("#"):
            return {}
        for part in reference[1:].split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~"), {})
        return found if isinstance(found, Mapping) else {}

    def _joined(
        self, value: object, schema: Mapping[str, Any], path: str, depth: int
    ) -> Misfit | None:
        for one in schema.get("allOf", ()):
            if found := self.value(value, one, path, depth + 1):
                return found
        for name in ("anyOf", "oneOf"):
            branches = [
                one for one in schema.get(name, ()) if value is None or one != {"type": "null"}
            ]
            found = None
            for branch in branches:
                found = self.value(value, branch, path, depth + 1)
                if found is None:
                    break
            if found is not None:  # where only one could be meant, what is wrong with it is known
                return found if len(branches) == 1 else Misfit("type", path[:PATH_MAX])
        return None

    def _inside(
        self, value: object, schema: Mapping[str, Any], path: str, depth: int
    ) -> Misfit | None:
        if isinstance(value, dict):
            return self._fields(value, schema, path, depth)
        if isinstance(value, (list, tuple)):
            first = schema.get("prefixItems", ())
            for item, one in zip(value, first, strict=False):
                if found := self.value(item, one, f"{path}[]", depth + 1):
                    return found
            rest = schema.get("items", True)
            if isinstance(rest, (Mapping, bool)):
                for item in value[len(first) :]:
                    if self._left < 0:
                        return None
                    if found := self.value(item, rest, f"{path}[]", depth + 1):
                        return found
        return None

    def _fields(
        self, value: dict[Any, object], schema: Mapping[str, Any], path: str, depth: int
    ) -> Misfit | None:
        known = schema.get("properties", {})
        required = schema.get("required", ())
        self._left -= len(known) + len(required)
        for name in required:
            if self._left >= 0 and name not in value:
                return Misfit("missing", _named(path, name))
        for name, one in known.items():
            if name in value and (
                found := self.value(value[name], one, _named(path, name), depth + 1)
            ):
                return found
        more = schema.get("additionalProperties", True)
        if more is True or "patternProperties" in schema:
            return None
        for name, item in value.items():
            if name in known:
                continue
            if more is False:
                return Misfit("extra", path[:PATH_MAX])
            if self._left < 0:
                return None
            if found := self.value(item, more, _named(path, "*"), depth + 1):
                return found
        return None


def _named(path: str, name: object) -> str:
    return (f"{path}.{name}" if path else str(name))[:PATH_MAX]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_JOINTS = frozenset({"allOf", "anyOf", "oneOf"})
_SIZES = (
    ("minLength", "maxLength", str),
    ("minItems", "maxItems", (list, tuple)),
    ("minProperties", "maxProperties", dict),
)
_BOUNDS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {name for least, most, _ in _SIZES for name in (least, most)}
)


def _bounded(value: Any, schema: Mapping[str, Any]) -> bool:
    for least, most, kind in _SIZES:
        if (least in schema or most in schema) and isinstance(value, kind):
            size = len(value)
            if size < schema.get(least, 0) or size > schema.get(most, size):
                return False
    if not _is_number(value):
        return True
    return not (
        value < schema.get("minimum", value)
        or value > schema.get("maximum", value)
        or ("exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"])
        or ("exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"])
    )
