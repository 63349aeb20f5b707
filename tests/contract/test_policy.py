"""The document of the gates says what the gates are: their order, words, fields, evidence and tests."""

import re
from pathlib import Path
from typing import get_args

import pytest

from ingest.agent_file import AgentFile
from stream.holding.policy import GATES
from tests.pipe import Pipe, signals
from tests.unit.stream.test_held_calls import OFFENCES, asked, in_force
from tracefuse.verdicts import Word

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "policy.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| `")
]
_QUOTED = re.compile(r"`([^`]+)`")


def test_the_table_has_every_gate_in_its_order() -> None:
    """The order decides who answers where two object, so it is part of the promise."""
    assert [_QUOTED.findall(row[0]) for row in ROWS] == [[gate] for gate in GATES]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_what_exists(row: list[str]) -> None:
    """Fields of the file, words of a verdict."""
    fields, words = _QUOTED.findall(row[2]), _QUOTED.findall(row[3])

    assert set(fields) <= set(AgentFile.__struct_fields__)
    assert fields or row[2] == "none"
    assert words and set(words) <= set(get_args(Word))


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[^`]+::[^`]+)`", TEXT))))
def test_a_named_test_exists(named: str) -> None:
    """With the case that it names."""
    path, _, rest = named.partition("::")
    function, _, case = rest.rstrip("]").partition("[")

    assert f"def {function}(" in (ROOT / path).read_text("utf-8")
    assert not case or case in OFFENCES


@pytest.mark.parametrize(
    "gate", [gate for gate in OFFENCES if gate not in ("limits", "concurrency")]
)
def test_the_evidence_is_as_documented(gate: str) -> None:
    """Exactly the keys that the document lists, under the gate that decided; its words are documented."""
    settings, fields = OFFENCES[gate]
    pipe = Pipe()
    told = in_force(pipe, **settings)
    if gate == "budgets":
        pipe.send(asked(told))
    (signal,) = [s for s in signals(pipe.send(asked(told, **fields))) if s.detector == "policy"]
    (listed,) = re.findall(r"as evidence, ([^.\n]+)\.", TEXT)
    row = next(row for row in ROWS if row[0] == f"`{gate}`")

    assert list(signal.evidence) == _QUOTED.findall(listed)
    assert signal.evidence["gate"] == gate
    assert signal.evidence["word"] in _QUOTED.findall(row[3])
    assert signal.evidence["passed"] == list(GATES)[: list(GATES).index(gate)]
