"""What another file would have decided, on histories of the pure cores: what appears, vanishes, changes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest.topics import INBOX
from stream.build import build
from stream.detect.detect import Detect
from stream.partition import Marker
from stream.replay import replay
from stream.replay.whatif import APPEARS, CHANGES, VANISHES, Differences, WhatIf
from stream.replay.whatif_words import words
from tests.pipe import START, VERIFIER, Pipe, Told, commands, file, registered, trace_id
from tests.unit.stream.test_held_calls import FILE, asked
from tracefuse.errors import ConfigError

CAP: dict[str, Any] = {"budgets": {"run_usd": 10.0}, "owner": {"name": "Payments"}}


class Past:
    """A history, and what another file makes of it."""

    def __init__(self, **declared: Any) -> None:
        self.pipe, self.declared = Pipe(), declared
        self.pipe.tell(registered(**declared))

    def run(self, number: int, dollars: float, calls: int = 5) -> None:
        """A run of calls that are not alike and cost so much each."""
        told = Told(trace_id=trace_id(number))
        for call in range(calls):
            self.pipe.now += 1
            for event in told.call(100 * number + call, cost_usd=dollars):
                self.pipe.send(event)

    def with_file(self, since: float = START, **declared: Any) -> Differences:
        """The differences, were the file another one."""
        ((number, log),) = [
            (number, log) for (topic, number), log in self.pipe.logs.items() if topic == INBOX
        ]
        what = WhatIf(number, VERIFIER, file(**(self.declared | declared)), since)
        for record in log:
            what.apply(*record)
        self.what = what
        return what.finish()


def told(differences: Differences) -> list[tuple[str, str, str, str]]:
    return [(c.kind, c.how, c.what, c.trace_id) for c in differences.changes]


def test_the_same_file_changes_nothing() -> None:
    """Loops, stops, warnings of the cap and held calls: decided again, all of it is the same."""
    past = Past(**(FILE | CAP))
    past.run(1, 3.0)
    looping = Told(trace_id=trace_id(2))
    for _ in range(5):
        past.pipe.send(*looping.same())
    past.pipe.send(asked(Told(trace_id=trace_id(3)), 1))
    stops = [one for one in commands(past.pipe.out) if one.state == "open"]
    differences = past.with_file()

    assert len(stops) == 2
    assert (differences.any, differences.changes, differences.unmade.total()) == (False, [], 0)
    assert len(differences.runs) == 3
    assert list(words(differences)) == [f"no difference in {differences.records} records of 3 runs"]


def test_a_lower_cap_shows_the_runs_it_would_have_stopped() -> None:
    """The dear run and not the cheap one; what it did after the stop would not have been done."""
    past = Past(**CAP)
    past.run(1, 1.5)
    past.run(2, 0.1)
    differences = past.with_file(budgets={"run_usd": 4.0})
    (stop,) = [change for change in differences.changes if change.kind == "stop"]

    assert (stop.how, stop.what, stop.action, stop.trace_id) == (
        APPEARS, "cost_cap", "stop-run", trace_id(1),
    )  # fmt: skip
    assert "4.00" in stop.sentence
    assert differences.unmade == {trace_id(1): 2}
    assert past.what.version == 1
    assert words_of(differences)[0] == f"run {trace_id(1)}"
    assert words_of(differences)[-1].startswith("stops: 1 appear, 0 vanish; incidents: ")


def test_a_stop_within_a_record_holds_for_the_rest_of_it() -> None:
    """An agent's process sends many calls in one record: those behind the stop would not have been made."""
    past, told_ = Past(**CAP), Told(trace_id=trace_id(1))
    past.pipe.send(*(event for call in range(5) for event in told_.call(call, cost_usd=1.5)))
    differences = past.with_file(budgets={"run_usd": 4.0})

    assert ("stop", APPEARS, "cost_cap", trace_id(1)) in told(differences)
    assert differences.unmade == {trace_id(1): 2}


def test_a_higher_cap_shows_the_stops_that_would_vanish() -> None:
    """What was stopped goes on being on record; what the run would have done nobody makes up."""
    past = Past(**CAP)
    past.run(1, 3.0)
    differences = past.with_file(budgets={"run_usd": 100.0})

    assert ("stop", VANISHES, "cost_cap", trace_id(1)) in told(differences)
    assert differences.unmade.total() == 0


def test_only_what_came_since_is_compared() -> None:
    """A run before the moment stays as it was, and one after it is judged by the other file."""
    past = Past(**CAP)
    past.run(1, 1.5)
    since = past.pipe.now + 0.5
    past.run(2, 1.5)
    differences = past.with_file(since, budgets={"run_usd": 4.0})

    assert {change.trace_id for change in differences.changes} == {trace_id(2)}
    assert differences.runs == {trace_id(2)}


def test_what_came_before_warms_both() -> None:
    """A run that began before the moment has spent its money: the other file's cap counts it."""
    past = Past(**CAP)
    past.run(1, 1.5, calls=2)
    since = past.pipe.now + 0.5
    past.run(1, 1.5, calls=1)
    differences = past.with_file(since, budgets={"run_usd": 4.0})

    assert ("stop", APPEARS, "cost_cap", trace_id(1)) in told(differences)


def test_a_verdict_that_changes_is_told_and_its_call_left_out() -> None:
    """A tool taken off the list: allowed then, denied now, with the gate that says so."""
    past = Past(**FILE)
    past.pipe.send(asked(Told(), 1))
    differences = past.with_file(tools={})
    (change,) = [one for one in differences.changes if one.kind == "verdict"]

    assert (change.how, change.action, change.what) == (CHANGES, "allow -> deny", "allowlist")
    assert differences.unmade.total() == 1


def test_a_later_version_of_the_history_takes_no_hold() -> None:
    """The file in question rules to the end, also where another was published meanwhile."""
    past = Past(**CAP)
    past.run(1, 0.1)
    past.pipe.tell(registered(**(CAP | {"version": 2, "budgets": {"run_usd": 100.0}})))
    past.run(2, 1.5)
    differences = past.with_file(budgets={"run_usd": 4.0})

    assert ("stop", APPEARS, "cost_cap", trace_id(2)) in told(differences)


def test_other_agents_are_not_spoken_of() -> None:
    """A neighbour in the same partition is decided twice, alike, and told of never."""
    past = Past(**CAP)
    past.run(1, 0.1)
    number = next(iter(past.pipe.detects))
    steps = [line.value for line in past.pipe.facts if b'"type":"step"' in line.value]
    for step in [msgspec.json.decode(step) for step in steps]:
        step |= {"agent_id": "neighbour", "cost_usd": 50.0, "trace_id": trace_id(9)}
        step["src"][1] = 7
        past.pipe.inbox(number, msgspec.json.encode(step))
    differences = past.with_file(budgets={"run_usd": 4.0})

    assert (len(steps) > 0, differences.any, differences.runs) == (True, False, {trace_id(1)})


def test_a_base_gives_what_the_beginning_gives() -> None:
    """Restored from a checkpoint in the middle, the other file changes the same."""
    past = Past(**CAP)
    past.run(1, 1.5, calls=2)
    ((number, log),) = [(n, log) for (topic, n), log in past.pipe.logs.items() if topic == INBOX]
    core, middle = Detect(number, VERIFIER), len(log)
    for record in log[:middle]:
        core.apply(*record)
    snapshot = core.freeze()
    while core.partition.encode_some(snapshot):
        pass
    cells = {k: cell for k, cell in snapshot.cells.items() if cell is not None}
    past.run(1, 1.5, calls=1)
    declared = file(**(CAP | {"budgets": {"run_usd": 4.0}}))
    what = WhatIf(number, VERIFIER, declared, START, saved=(snapshot.marker, cells))
    for record in log[middle:]:
        what.apply(*record)
    since = log[middle].timestamp

    assert told(what.finish()) == told(past.with_file(since, budgets={"run_usd": 4.0}))
    assert len(what.differences.changes) > 0


def test_a_base_of_another_build_or_without_the_partition_is_refused(tmp_path: Path) -> None:
    """State of other code would decide otherwise by itself; the partition in it comes out as it went in."""
    path, part = tmp_path / "base", (INBOX, 3, Marker(7, START, 1, {}, b""), {"acme/refunds": b"x"})
    path.write_bytes(msgspec.msgpack.encode(replay.Base("another", [part])))
    with pytest.raises(ConfigError, match="of build another"):
        replay.part(path, INBOX, 3)
    path.write_bytes(msgspec.msgpack.encode(replay.Base(build(), [part])))
    with pytest.raises(ConfigError, match="lacks"):
        replay.part(path, INBOX, 4)

    assert replay.part(path, INBOX, 3) == part[2:]


@pytest.mark.parametrize("known", [True, False])
def test_a_history_whose_beginning_is_gone_takes_the_file_in_force(known: bool) -> None:
    """Without it the agent would stand there as if it never had a cap."""
    past = Past(**CAP)
    past.run(1, 3.0)
    ((number, log),) = [(n, log) for (topic, n), log in past.pipe.logs.items() if topic == INBOX]
    now = file(**CAP)
    what = WhatIf(number, VERIFIER, now, START, known=now if known else None)
    for record in log[1:]:
        what.apply(*record)

    assert what.finish().any is not known


def words_of(differences: Differences) -> list[str]:
    return list(words(differences))
