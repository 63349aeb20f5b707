"""Whatever fails when: soft rules stop a tenth, and what comes while the news of it is under way."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.stopping.brake import WINDOW
from tests.fleet import Fleet

SIZES = (1, 12, 24)
# Which agent fails, and how long it takes until the next one does.
Script = list[tuple[int, float]]
scripts = st.lists(
    st.tuples(st.integers(0, max(SIZES) - 1), st.sampled_from((0.0, 0.1, 1.0, 20.0, 140.0))),
    min_size=3, max_size=25,
)  # fmt: skip


def excess(fleet: Fleet, allowed: int, delay: float) -> list[str]:
    """Agents that were stopped though so many others had been, and everybody had time to know."""
    found = []
    for n, (at, scope, rule) in enumerate(fleet.opened):
        before = [(t, other) for t, other, _ in fleet.opened[:n] if at - WINDOW < t <= at - delay]
        known = {other for _, other in before}
        if rule != "breaker.open" and len(known - {scope}) >= allowed:
            found.append(f"{scope} at {at}, after {sorted(known)}")
    return found


def play(script: Script, size: int, delay: float, correlating: bool = True) -> Fleet:
    fleet = Fleet(size, delay, correlating)
    for n, pause in script:
        fleet.fail(fleet.names[n % size])
        fleet.wait(pause)
    return fleet


@settings(max_examples=25, deadline=None)
@given(scripts, st.sampled_from(SIZES), st.sampled_from((0.0, 0.3, 5.0)))
def test_a_tenth_and_what_was_under_way(script: Script, size: int, delay: float) -> None:
    """A stop above the share happens only within the time that the news of the others takes."""
    fleet = play(script, size, delay)

    assert fleet.opened != []
    assert excess(fleet, max(1, size // 10), delay + 0.5) == []


def test_without_correlate_more_are_stopped() -> None:
    """Control: the same check finds what the brake prevents."""
    script = [(n, 1.0) for n in range(12)]

    assert excess(play(script, 12, 0.0), 1, 0.5) == []
    assert excess(play(script, 12, 0.0, correlating=False), 1, 0.5) != []
