"""Runs of the scenario about probes: two tasks with one right way, which users' runs go as well."""

from random import Random

import msgspec

from ingest.simulate import work
from ingest.simulate.scenario import Moment
from ingest.simulate.script import Script
from ingest.simulate.usual import reading, scripted

_TOOLS = [tool.name for tool in work.TASKS["support"].reads]
_LINES = (
    {"set": "looks", "every_hours": 24},
    {
        "id": "locked", "task": "support", "input": "Ticket 1: I cannot log in.",
        "expect": {"tools": _TOOLS, "in_order": True},
    },
    {
        "id": "unknown", "task": "support", "input": "Ticket 2: nobody knows me.",
        "expect": {"tools": _TOOLS, "never": ["ticket.reply"], "max_calls": 4},
    },
)  # fmt: skip
PROBES = "\n".join(msgspec.json.encode(line).decode() for line in _LINES)
"""The file, as its owner writes it (docs/probes.md)."""


def looking(task: work.Task, random: Random) -> Script:
    """Both places are looked into, one after the other."""
    return scripted(task, random, reading(task, random, 2))


def hasty(task: work.Task, moment: Moment, random: Random) -> Script:
    """The second look is left out, without any other sign that something is wrong."""
    return scripted(task, random, reading(task, random, 2)[:1])
