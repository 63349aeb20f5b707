"""From history to files to verdicts: what a suggestion would have refused of calls that it has not seen.

The history goes the way of every agent's: join, the sink's rows, ClickHouse, and the query of
`tracefuse registry suggest`. Then the suggested files are in force, and the calls of other runs ask the
cores of join and detect for their verdicts.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from dashboards.history import history
from ingest.agent_file import AgentFile, Owner, Tool
from ingest.agent_habits import ENOUGH_RUNS, habits
from ingest.agent_suggest import Suggestion, suggest
from ingest.settings import Settings
from ingest.topics import EVENTS, INBOX
from stream.detect.registering import sealed
from stream.outputs import Answer
from stream.sink import rows
from stream.sink.columns import Block
from stream.sink.tables import Tables
from tests.pipe import MASTER, REGISTRY, Pipe
from tests.recorded import Label, Recorded, events
from tracefuse.verdicts import Word

DAYS = 14  # how far back `suggest` looks unless told otherwise
OWNER = Owner("owner")
# What an owner would say of a tool that is called so.
_READS = re.compile(r"(get|read|list|search|find|view)[_.]")


class Outcome(NamedTuple):
    """One call of a run that the history did not hold."""

    label: Label
    tool: str
    word: Word
    gate: str
    reason: str


def granted(runs: Iterable[Recorded], tenant: str) -> dict[str, AgentFile]:
    """Files as owners begin: every tool that the agent was given, and nothing capped."""
    tools: dict[str, dict[str, Tool]] = defaultdict(dict)
    for run in runs:
        for line in run.lines:
            if line.type == "tool_call":
                access = "read" if _READS.match(line.tool) else "write"
                tools[line.agent_id][line.tool] = Tool(access=access)  # type: ignore[arg-type]
    return {name: AgentFile(name, tenant, owner=OWNER, tools=tools[name]) for name in sorted(tools)}


def stored(told: Sequence[tuple[str, Recorded]], days: int, settings: Settings) -> None:
    """Runs of several tenants, joined and written as the sink writes them. In order of their time."""
    pipe = Pipe()
    for tenant, run in told:
        for at, event in events(run, tenant, days):
            event.attempt = event.deadline_ms = 0  # nobody waited then: no file was in force
            pipe.now = at
            pipe.send(event)
    tables = Tables(settings)
    for (topic, partition), log in pipe.logs.items():
        blocks: dict[str, Block] = {}
        for record in log if topic in (EVENTS, INBOX) else ():
            for row in rows.read(topic, partition, record.headers, record.value, MASTER):
                assert isinstance(row, rows.Row), row
                block = blocks.setdefault(row.table, Block(row.table, topic, partition))
                block.add(row, record.offset, round(record.timestamp * 1000))
        for name, block in blocks.items():
            tables.insert(block, f"{topic}/{partition}/{name}")


def suggested(
    client: Client, tenant: str, current: dict[str, AgentFile], enough: int = ENOUGH_RUNS
) -> dict[str, Suggestion]:
    """What `tracefuse registry suggest` says of each agent.

    Parameters
    ----------
    current
        The files in force. One without tools counts as none but for its owner, whom a person adds.
    enough
        Runs after which the rules about tasks take a task for known.
    """
    made = {}
    for name, file in current.items():
        uses, minutes, runs = history(client, tenant, name, DAYS)
        found = suggest(file if file.tools else None, file, uses, minutes, runs)
        if enough != ENOUGH_RUNS:
            did = ((run.task, run.tools) for run in runs)
            rules = habits(found.file.tools, did, file.owner.name, enough)
            found = found._replace(file=replace(found.file, approvals=rules))
        made[name] = found
    return made


def judged(files: Iterable[AgentFile], runs: Iterable[Recorded], days: int = 0) -> list[Outcome]:
    """Each call's verdict; one that was not allowed did not run, and the run went on as recorded."""
    files = list(files)
    pipe, outcomes = Pipe(), list[Outcome]()
    for run in runs:
        calls, refused = 0, set[str]()
        for at, event in events(run, files[0].tenant, days):
            pipe.now = max(pipe.now, at) if pipe.logs else at
            pipe.tell(*(sealed(file, REGISTRY) for file in files if not pipe.logs))
            pipe.tick()
            if event.call_id in refused:
                event.status = "not_run"
            out = pipe.send(event)
            if event.name != "tool.request":
                continue
            (verdict,) = (said.verdict for said in out if isinstance(said, Answer))
            if verdict.word not in ("allow", "throttle"):
                refused.add(event.call_id)
            label = run.truth.label(calls)
            outcomes.append(Outcome(label, event.tool, verdict.word, verdict.gate, verdict.reason))
            calls += 1
    return outcomes


def share(outcomes: Iterable[Outcome], label: Label, *words: Word) -> float:
    """Percent of the calls of a label whose verdict was one of these."""
    of_label = [outcome.word in words for outcome in outcomes if outcome.label == label]
    return round(100 * sum(of_label) / len(of_label), 2) if of_label else 0.0
