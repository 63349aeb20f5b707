"""Detector health knows how late its input is: told once, by records alone, over a restart too."""

from detectors.input_lag import HELD_SECONDS
from ingest.records import Signal, Step
from stream.detect.detect import Detect
from tests.pipe import AGENT, TENANT, TRACE, VERIFIER, Pipe, registered, signals


class Late:
    """An owner whose steps come so many seconds after the broker took their events, one a second."""

    def __init__(self) -> None:
        self.pipe, self.n = Pipe(), 0
        self.pipe.tell(registered())

    def steps(self, count: int, late: float, spooled: bool = False) -> list[Signal]:
        """What is said of the detectors' health meanwhile."""
        found = []
        for _ in range(count):
            self.n += 1
            self.pipe.now += 1.0
            step = Step(
                step_id=f"s{self.n}", phase="complete", tenant=TENANT, agent_id=AGENT, trace_id=TRACE,
                span_id="x", action="tool", tool="crm.find", args_hash=f"a{self.n}", status="ok",
                at=self.pipe.now - late, spooled=spooled, src=("e", 0, self.n, 0, 0),
            )  # fmt: skip
            found += signals(self.pipe.tell(step))
        return [one for one in found if one.detector == "detector_health"]

    def restart(self) -> None:
        """Another process goes on from the checkpoint."""
        (number,) = self.pipe.detects
        frozen = self.pipe.detects[number].freeze()
        core = self.pipe.detects[number]
        while not core.partition.encode_some(frozen):
            pass
        again = Detect(number, VERIFIER)
        again.restore(frozen.marker, {key: cell for key, cell in frozen.cells.items() if cell})
        self.pipe.detects[number] = again


def test_late_input_is_told_once_and_so_is_its_end() -> None:
    """To the people of the pipeline: no incident of the agent's owner."""
    late = Late()
    assert late.steps(60, 0.2) == []
    (ill,) = late.steps(120, 30.0)
    (well,) = late.steps(300, 0.2)

    assert (ill.evidence["check"], ill.action, ill.severity) == ("input lag", "annotate", "medium")
    assert ill.evidence["lag_s"] > 5.0 > 1.0 > well.evidence["lag_s"]
    assert (ill.evidence["observed"], well.evidence["observed"]) == (30.0, 0.2)
    assert "after the broker took them: what they find is late" in ill.sentence
    assert "in time again" in well.sentence


def test_a_short_pause_is_no_illness() -> None:
    """A worker that starts catches up for some seconds; nobody is told."""
    late = Late()
    late.steps(60, 0.2)

    assert late.steps(int(HELD_SECONDS) // 3, 600.0) == []
    assert late.steps(100, 0.0) == []


def test_what_waited_on_a_disk_does_not_count() -> None:
    """That is the agent's lag, and nobody's illness."""
    assert Late().steps(200, 600.0, spooled=True) == []


def test_a_restart_changes_nothing() -> None:
    """The lag is part of the checkpoint: at the same step the same word."""
    whole, cut = Late(), Late()
    for one in (whole, cut):
        one.steps(40, 30.0)
    cut.restart()

    assert cut.steps(300, 0.1) == whole.steps(300, 0.1) != []
