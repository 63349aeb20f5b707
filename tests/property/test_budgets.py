"""The ledger against a model that keeps every reservation and adds them up each time."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from ingest.agent_file import Budgets
from stream.agent.budgets import Amount, Ledger

CALLS, RUNS = st.sampled_from("abcdef"), st.sampled_from("xyz")
amounts = st.builds(Amount, st.integers(0, 50), st.integers(0, 9))
moves = st.one_of(
    st.tuples(st.just("reserve"), CALLS, RUNS, amounts, st.sampled_from([1.0, 5.0, 20.0])),
    st.tuples(st.just("release"), CALLS),
    st.tuples(st.just("settle"), CALLS, RUNS, amounts),
    st.tuples(st.just("expire"), st.sampled_from([0.0, 1.0, 4.0, 10.0])),
    st.tuples(st.just("forget"), RUNS),
)
CAPS = Budgets(run_usd=100e-6, hour_usd=150e-6, run_tokens=30)


def _sum(held: dict[str, tuple[str, Amount, float]], run: str = "") -> Amount:
    total = Amount()
    for trace_id, amount, _ in held.values():
        if run in ("", trace_id):
            total = total.plus(amount)
    return total


@given(st.lists(moves, max_size=60))
def test_what_is_set_aside_is_the_sum_of_the_reservations(script: list[tuple]) -> None:  # type: ignore[type-arg]
    """However calls are set aside, settled, released and expire, no cent is lost or kept."""
    ledger, held, now = Ledger(), dict[str, tuple[str, Amount, float]](), 0.0
    spent = dict[str, Amount]()
    for move in script:
        match move:
            case "reserve", call, run, amount, seconds:
                ledger.reserve(call, run, amount, now + seconds)
                held[call] = (run, amount, now + seconds)
            case "release", call:
                ledger.release(call)
                held.pop(call, None)
            case "settle", call, run, amount:
                ledger.settle(call, run, amount.micro / 1e6, amount.tokens, now)
                least = held.pop(call, (run, Amount(), 0.0))[1]
                cost = Amount(amount.micro or least.micro, amount.tokens or least.tokens)
                if cost != Amount():
                    spent[run] = spent.get(run, Amount()).plus(cost)
            case "expire", seconds:
                now += seconds
                ledger.expire(now)
                held = {call: one for call, one in held.items() if one[2] > now}
            case "forget", run:
                ledger.forget(run)
                spent.pop(run, None)
        earliest = min((one[2] for one in held.values()), default=inf)

        assert set(ledger.reserved) == set(held)
        assert ledger.aside == _sum(held)
        assert ledger.deadline <= earliest
        for run in "xyz":
            here = spent.get(run, Amount()).plus(_sum(held, run))
            over = here.micro + 10 > 100 or here.tokens + 1 > 30
            assert ledger.lacks(run, CAPS, Amount(10, 1), now).startswith("run") == over
