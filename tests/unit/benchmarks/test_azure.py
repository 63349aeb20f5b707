"""The recorded hour of the detection benchmark: what a fault changes, and what of it is found."""

import random

from tests.benchmarks.detection.azure import (
    Fault,
    Request,
    changed,
    judged,
    moments,
    played,
    unlike_any,
)


def hour(requests: int = 1200) -> list[Request]:
    """A busy service without a season: two requests a second."""
    rng, at, made = random.Random(7), 1_795_000_000.0, list[Request]()
    for _ in range(requests):
        at += rng.expovariate(2.0)
        made.append(Request(at, int(1000 * rng.lognormvariate(0.0, 0.5)), rng.randint(5, 50)))
    return made


def test_a_fault_changes_its_minute_only() -> None:
    """Tenfold tokens, five times the requests, or none; before and after all is as recorded."""
    made = hour()
    fault = {kind: Fault(kind, made[600].at) for kind in ("tokens", "rate", "dead")}
    inside = [one for one in made if fault["dead"].holds(one.at)]
    said = {kind: list(changed(made, one)) for kind, one in fault.items()}

    assert [len(said[kind]) - len(made) for kind in said] == [0, 4 * len(inside), -len(inside)]
    assert [o.input_tokens for o in said["tokens"][600:602]] == [
        o.input_tokens * 10 for o in made[600:602]
    ]
    assert all(list(changed(made, one))[:600] == made[:600] for one in fault.values())


def test_a_dead_process_is_heard_of_and_a_living_one_is_not() -> None:
    """Silence within seconds; none where the process only has nothing to do."""
    made = hour()
    quiet = [*made[:600], *(one._replace(at=one.at + 230) for one in made[600:])]

    dead = played(made, True, Fault("dead", made[600].at))

    assert "silence" in {one.detector for one in dead}
    assert "silence" not in {one.detector for one in played(quiet, own_runs=True)}
    assert "silence" in {one.detector for one in played(quiet, own_runs=False)}


def test_the_most_that_counts_can_tell_is_counted() -> None:
    """Five times a steady service is unlike all that it did; one request instead of none is not."""
    made = hour()
    alone = [*made, Request(made[-1].at + 300, 100, 10)]

    assert unlike_any(made, [Fault("rate", made[600].at)]) == 1
    assert unlike_any(alone, [Fault("rate", alone[-1].at)]) == 0


def test_what_the_recording_raises_by_itself_finds_no_fault() -> None:
    """Faults are counted as found only by what they add."""
    made = hour()
    report = judged(made, 2, seed=1)

    assert report["faults"]["dead"]["found"] == report["faults"]["dead"]["happened"] == 2
    assert report["false_silences_an_hour"] == 0
    assert len(moments(made, 2, random.Random(1))) == 2
