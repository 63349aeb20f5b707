"""The published schema says what the check does, and the documents say what the schema does."""

import tomllib
from pathlib import Path

import jsonschema
import msgspec
import pytest

from ingest import agent_file
from ingest.agent_schema import meanings, schema
from ingest.registry import parse
from tests.unit.ingest.test_agent_check import WHOLE

DOCS = Path(__file__).parents[3] / "docs"
STRUCTS = [
    struct
    for struct in vars(agent_file).values()
    if isinstance(struct, type) and issubclass(struct, msgspec.Struct)
]


def test_the_published_schema_is_this_one() -> None:
    """`tracefuse registry schema > docs/agent-file.schema.json` after a change."""
    published = msgspec.json.decode((DOCS / "agent-file.schema.json").read_bytes())

    assert published == schema()


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_says_what_it_means(struct: type[msgspec.Struct]) -> None:
    """In its struct, in the schema, and in the table of the document."""
    table = (DOCS / "registry.md").read_text("utf-8")
    told = meanings(struct)

    assert set(told) == set(struct.__struct_fields__)
    for name, words in told.items():
        assert f"`{name}`" in table
        assert words.replace("``", "`") in table


def test_the_schema_takes_what_the_check_takes() -> None:
    """An editor that knows the schema is content with a good file."""
    data = tomllib.loads(WHOLE.replace("2027-06-30", '"2027-06-30"'))

    jsonschema.validate(data, schema())
    parse(WHOLE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"agnet": "a"}, {"agent": "a/b"}, {"agent": "a", "autonomy": 4}, {"agent": "a", "x": 1},
        {"agent": "a", "tools": {"t": {"access": "admin"}}}, {"agent": "a", "review_by": "soon"},
        {"agent": "a", "approvals": [{"name": "x"}]}, {"agent": "a", "heartbeat_s": 0},
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_check_refuses(wrong: object) -> None:
    """While one types, not when one publishes."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, agent_file.AgentFile)
