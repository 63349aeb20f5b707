"""A new version of an agent that can't use its tools; runs of the stable version beside it can."""

from dataclasses import replace
from random import Random

from ingest.agent_file import Bundle
from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Move, Script

STABLE, CANARY = "b1", "b2"
# Enough for the canary's own error rate (20 calls, half of them failed) within a few of its runs. The
# comparison of the two versions needs 14 bad runs at this share.
_CALLS = 12
_LATENCY_MS = 30.0
_PAUSE_MS = 40.0


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """A run of many reads, each of which fails where it is the canary's."""
    healthy = work.script(task, random)
    calls: list[Move] = [
        replace(
            work.act(task.reads[n % len(task.reads)], random), latency_ms=_LATENCY_MS,
            pause_ms=_PAUSE_MS, error="", fails_in=CANARY,
        )
        for n in range(_CALLS)
    ]  # fmt: skip
    return replace(healthy, moves=[*healthy.moves[:4], *calls], urgent=True)


SCENARIO = Scenario(
    "failed_canary", expected="rollback", scope="bundle", must_stop=True, detector="error_rate",
    task="support", distort=distort, fault_at_s=2.0, fault_s=20.0, twin=False,
    declares={"bundles": {"stable": Bundle(STABLE), "canary": Bundle(CANARY, share=0.5)}},
)  # fmt: skip
