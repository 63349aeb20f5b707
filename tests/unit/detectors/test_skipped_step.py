"""Declared steps: what lacks is counted and named, and only a call that waits is blocked."""

import pytest

from detectors import SkippedStep


@pytest.mark.parametrize(
    ("well", "score"), [([], 2.0), (["verify"], 1.0), (["quote", "verify"], 0.0)]
)
def test_it_counts_what_lacks(well: list[str], score: float) -> None:
    """Each required step by itself; in which order they went well is not its question."""
    order = SkippedStep()

    assert order.update(["verify", "quote"], well) == score
    assert order.fires == (score > 0)
    assert list(order.lacking) == [name for name in ("verify", "quote") if name not in well]


def test_what_does_not_wait_is_only_a_warning() -> None:
    """Nobody can block a call that has begun."""
    order = SkippedStep()
    order.update(["verify"], [], held=False)

    assert (order.fires, order.warns) == (False, True)


def test_names_of_any_length_keep_the_evidence_small() -> None:
    """A file may call its tools what it likes."""
    order = SkippedStep()
    order.update([f"{n}-{'x' * 250}" for n in range(40)], [])

    assert order.score == 40.0
    assert len(str(order.evidence())) < 1000
