"""The form of a result: in words of its schema alone, never wrongly, in bounded time, beside the agent."""

import time
from collections.abc import Mapping
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sdk import Sent, sdk
from tracefuse.drafts import Draft, Run
from tracefuse.errors import Malformed
from tracefuse.evidence import Identity, Witness
from tracefuse.forms import LEFT_MAX, PATH_MAX, WORDS, Misfit, misfit
from tracefuse.grants import Grants, decode
from tracefuse.guards import misfit as guarded

ORDER: dict[str, Any] = {
    "type": "object", "required": ["total", "items"], "additionalProperties": False,
    "properties": {
        "total": {"type": "number", "minimum": 0},
        "state": {"enum": ["open", "closed"]},
        "note": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "$defs": {"item": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}},
}  # fmt: skip
GOOD: dict[str, Any] = {
    "total": 5,
    "items": [{"id": 1, "more": "x"}],
    "note": None,
    "state": "open",
}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, None),
        ({"total": -1}, Misfit("value", "total")),
        ({"total": "5"}, Misfit("type", "total")),
        ({"total": True}, Misfit("type", "total")),
        ({"state": "secret word"}, Misfit("value", "state")),
        ({"note": "too long"}, Misfit("value", "note")),
        ({"items": [{"id": 1}, {"id": 1.5}]}, Misfit("type", "items[].id")),
        ({"items": [{"id": 2.0}, {}]}, Misfit("missing", "items[].id")),
        ({"unheard of": 1}, Misfit("extra", "")),
    ],
    ids=str,
)  # fmt: skip
def test_it_says_what_is_wrong_and_where(change: dict[str, object], found: Misfit | None) -> None:
    """In words of the schema; the first thing that is wrong."""
    assert misfit(GOOD | change, ORDER) == found
    assert misfit({"total": 5}, ORDER) == Misfit("missing", "items")


def test_names_that_the_schema_does_not_declare_stay_inside() -> None:
    """Such names are data: a map of accounts, say."""
    schema = {"additionalProperties": {"type": "object", "properties": {"sum": {"type": "number"}}}}

    assert misfit({"DE89 3704": {"sum": "?"}}, schema) == Misfit("type", "*.sum")


_scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, "", "a", "abc"])
_names = st.sampled_from("abc")
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_types = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])


def _schemas() -> st.SearchStrategy[Any]:
    plain = st.fixed_dictionaries(
        {},
        optional={
            "type": _types | st.lists(_types, min_size=1, max_size=2, unique=True),
            "enum": st.lists(st.sampled_from(["a", "abc", 7]), min_size=1, max_size=2, unique=True),
            "minimum": st.integers(-2, 2), "exclusiveMaximum": st.integers(-2, 2),
            "minLength": st.integers(0, 2), "maxItems": st.integers(0, 2),
        },
    )  # fmt: skip

    def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.fixed_dictionaries(
            {},
            optional={
                "type": _types, "properties": st.dictionaries(_names, inner, max_size=2),
                "required": st.lists(_names, max_size=2, unique=True),
                "additionalProperties": st.booleans() | inner,
                "items": inner, "prefixItems": st.lists(inner, min_size=1, max_size=2),
                "anyOf": st.lists(inner, min_size=1, max_size=2),
                "allOf": st.lists(inner, min_size=1, max_size=2),
                "$ref": st.just("#/$defs/d"), "$defs": st.fixed_dictionaries({"d": plain}),
            },
        )  # fmt: skip

    return st.recursive(plain | st.booleans(), nested, max_leaves=5)


@given(_values, _schemas())
@settings(max_examples=600, deadline=None)
def test_it_judges_as_a_complete_check_does(value: object, schema: Any) -> None:
    """Over the keywords that it knows; text is read as JSON too, so only texts may pass more."""
    root = schema if isinstance(schema, dict) else {"allOf": [schema]}
    if "$defs" not in root:
        root = root | {"$defs": {"d": {"type": "object"}}}
    valid = jsonschema.Draft202012Validator(root).is_valid(value)

    assert (misfit(value, root) is None) == valid or isinstance(value, str)
    assert misfit(value, root) is None or not valid


@given(_values, _values)
@settings(max_examples=300, deadline=None)
def test_a_schema_that_is_none_says_nothing(value: object, schema: Any) -> None:
    """Whatever somebody declares, the agent never hears of it."""
    names = (
        "type",
        "enum",
        "required",
        "properties",
        "items",
        "anyOf",
        "$ref",
        "minimum",
        "maxLength",
    )
    for name in names:
        found = misfit(value, {name: schema})
        assert found is None or (found.what in WORDS and len(found.path) <= PATH_MAX)


def test_time_is_bounded() -> None:
    """A schema that refers to itself twice at each level, and a list without end, cost some ms."""
    twice = {"anyOf": [{"$ref": "#"}, {"$ref": "#"}], "items": {"$ref": "#"}}
    circle = {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    }
    long = {"items": {"type": "integer"}}
    start = time.process_time()

    assert misfit([[[[]]]] * 100, twice) is None
    assert misfit({}, circle) is None
    assert misfit([0] * LEFT_MAX + ["beyond"], long) is None
    assert misfit([0] * (LEFT_MAX // 2) + ["within"], long) == Misfit("type", "[]")
    assert time.process_time() - start < 0.2


# -- in the SDK ----------------------------------------------------------------------------------


def granted(form: Mapping[str, Any]) -> Grants:
    tools = {"crm.find": {"result": form}}
    return decode(msgspec.json.encode({"agent": "refunds", "held": [], "tools": tools}))


def told(sent: Sent, result: object, error: str = "") -> None:
    with sent.fuse.trace() as trace, trace.tool("crm.find", {"q": 1}) as call:
        call.result(result)
        if error:
            call.error(error)


@pytest.mark.parametrize(
    ("result", "form"),
    [
        (GOOD, []),
        ('{"total": 5, "items": []}', []),
        ({"total": 5}, ["missing", "items"]),
        ("<html>Bad gateway</html>", ["unreadable", ""]),
        (float("nan"), ["unreadable", ""]),
        ([], ["type", ""]),
        ({"content": [], "structuredContent": {"total": 5}}, ["missing", "items"]),
        ({"content": [], "structuredContent": None, "isError": True}, []),
    ],
    ids=str,
)  # fmt: skip
def test_a_result_is_held_against_the_agents_file(result: object, form: list[str]) -> None:
    """Parsed where it is text, and its structured part where a protocol wraps it."""
    with sdk() as sent:
        sent.fuse.held.grants = granted(ORDER)
        told(sent, result)

    assert sent.one("tool.result").sketches["form"] == form


def test_a_tool_may_describe_its_results_itself() -> None:
    """Until the agent's file says more; what was described is what it was then."""
    described: dict[str, Any] = {"name": "crm.find", "outputSchema": dict(ORDER)}
    with sdk() as sent:
        sent.fuse.describe("crm.find", described)
        described["outputSchema"]["required"] = ["later"]
        told(sent, {"total": 5})
    with sdk() as filed:
        filed.fuse.describe("crm.find", described)
        filed.fuse.held.grants = granted({"type": "string"})
        told(filed, "a text")

    assert sent.one("tool.result").sketches["form"] == ["missing", "items"]
    assert filed.one("tool.result").sketches["form"] == []


def test_failed_calls_and_undeclared_tools_are_not_judged() -> None:
    """A failure is counted as one already; nothing is expected where nothing is declared."""
    with sdk() as failed:
        failed.fuse.held.grants = granted(ORDER)
        told(failed, {"error": "locked"}, error="locked")
    with sdk() as undeclared:
        undeclared.fuse.held.grants = granted({})
        told(undeclared, {"error": "locked"})

    for sent in (failed, undeclared):
        assert "form" not in sent.one("tool.result").sketches


def test_a_malformed_result_reaches_the_agent_as_it_is() -> None:
    """It is told, not stopped: whatever the schema is, the call goes on and its result is the tool's."""
    for form in (ORDER, {"type": 7}, {"properties": 3, "required": None}, {"$ref": "#/a/b"}):
        with sdk() as sent:
            sent.fuse.held.grants = granted(form)
            result = {"error": "locked"}
            with sent.fuse.trace() as trace, trace.tool("crm.find") as call:
                assert call.result(result) is result

        assert sent.one("tool.result").status == "ok"


def test_nothing_of_a_result_leaves_with_its_form() -> None:
    """Neither values nor names that nobody declared: fields of the schema, and keyed hashes."""
    with sdk() as sent:
        sent.fuse.held.grants = granted({"additionalProperties": {"enum": ["fine"]}})
        told(sent, {"confidentialname": "confidentialvalue"})
    lines = b"".join(one.value for one in sent.transport.sent)

    assert sent.one("tool.result").sketches["form"] == ["value", "*"]
    assert b"confidential" not in lines


def test_a_kind_is_told_by_a_keyed_hash() -> None:
    """Results of one make share it, errors of one kind too; it says nothing without the tenant's key."""
    with sdk() as sent:
        for result in (
            {"id": "a", "n": 1},
            {"n": 2.5, "id": "b"},
            {"id": None, "n": 1},
            "no order 7",
            "no order 8",
        ):
            told(sent, result)
        told(sent, None, error="order 7 is locked")
        told(sent, None, error="order 8 is locked")
    kinds = [event.sketches["template"] for event in sent.events("tool.result")]

    assert kinds[0] == kinds[1] != kinds[2] and kinds[3] == kinds[4] and kinds[5] == kinds[6]
    assert len(set(kinds)) == 4 and {len(kind) for kind in kinds} == {16}


def test_two_tenants_tell_one_kind_apart() -> None:
    """Whoever has not the key can't find out which error it is by trying some."""
    who = Identity(tenant="t", agent_id="a", environment="dev", bundle="", boot_id="b" * 16)
    run = Run("0af7651916cd43dd8448eb211c80319c")
    failed = Draft(
        "tool.result", run, "0" * 16, 1, extra={"error_text": "locked", "status": "error"}
    )
    answered = Draft("tool.result", run, "0" * 16, 1, body={"a": 1})
    kinds = [
        Witness(who, key).event(draft, 1).sketches["template"]
        for key in (b"one", b"other")
        for draft in (failed, answered)
    ]

    assert len(set(kinds)) == 4


def test_unlike_anything_a_result_is_told() -> None:
    """Names that are no text, and values that no JSON has, cost no event."""
    with sdk() as sent:
        for result in (
            {1: "a", None: 2},
            {b"x": 1},
            {"deep": [[[[[[[[[[1]]]]]]]]]]},
            object(),
            {"a": {1, 2}},
        ):
            told(sent, result)

    assert len(sent.events("tool.result")) == 5
    assert all(event.sketches["template"] for event in sent.events("tool.result"))


def test_outputs_may_have_the_same_forms() -> None:
    """A JSON Schema guards what the user gets as a type does; a fallback has to have it too."""
    with sdk() as sent:
        sent.fuse.held.grants = Grants("a", fallbacks={"output": '{"total": 0, "items": []}'})
        with sent.fuse.trace() as trace:
            assert trace.output(GOOD, schema=ORDER) is GOOD
            assert trace.output("no answer", schema=ORDER) == {"total": 0, "items": []}
            with pytest.raises(Malformed, match="`items` is missing"):
                trace.input({"total": 1}, schema=ORDER)

    assert guarded(b"\xff", ORDER) == "it is no JSON"
