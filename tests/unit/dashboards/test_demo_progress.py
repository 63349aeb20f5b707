"""What people read while the demo plays: each kind of stop once, in words, with where to look."""

from dashboards.cpu import by_kind
from dashboards.demo import summary
from dashboards.demo_facts import Deed, Quantiles
from dashboards.demo_progress import Progress
from dashboards.demo_report import Counts, Report
from ingest.simulate.journal import Change, Refusal, Told

RUN = "run:demo/loop/"
STOP = Change(1_040_000, RUN + "5f", "open", "c1", "exact_loop", "Four times.", 1_000_000)


def test_a_stop_says_who_why_how_fast_and_where_to_look() -> None:
    """One line for the stop, one with the command that shows the run."""
    stopped, look = Progress().changed("loop", STOP)

    for word in ("loop", "STOPPED after 40 ms", "this run only", "Four times."):
        assert word in stopped
    assert look.strip() == "tracefuse trace 5f"


def test_a_refusal_says_what_by_whom_and_how_fast() -> None:
    """Once for each tool and gate; the tenth refused call is no news."""
    refusal = Refusal("5f", "crm.pay", 1_000_000, 1_012_000, "budgets", "no room")
    progress = Progress()
    (line,) = progress.refused("agent", refusal)

    for word in ("agent", "REFUSED `crm.pay` after 12 ms", "no room"):
        assert word in line
    assert progress.refused("agent", refusal) == []


def test_what_people_do_and_what_users_get_is_said() -> None:
    """A deed in its words, a replaced answer with what the user got; an answer in form is no news."""
    progress = Progress()
    kill = Deed("loop", "kills", "forced_open", 1_040_000, "c1", "agent:demo/loop is stopped")
    bad = Told("5f", 1_040_000, {"answer": "later"}, malformed=True, replaced=True)

    assert "PERSON: agent:demo/loop is stopped" in progress.did(kill)[0]
    assert progress.did(kill) == []
    assert "the user got {'answer': 'later'}" in progress.told("loop", bad)[0]
    assert progress.told("loop", bad) == []
    assert progress.told("other", Told("5f", 1, "fine")) == []


def test_a_taken_back_bundle_is_named() -> None:
    """Not the whole agent is stopped."""
    stop = Change(1_040_000, "bundle:demo/loop/b2", "open", "c1", "error_rate", "Half.", 1)

    assert "only bundle b2" in Progress().changed("loop", stop)[0]


def test_what_repeats_is_said_once() -> None:
    """The tenth stopped run of one agent is no news; another scope, state or agent is."""
    progress = Progress()
    again = Change(9_000_000, RUN + "60", "open", "c2", "exact_loop", "Four times.", 8_000_000)
    agent = Change(9_000_000, "agent:demo/loop", "open", "c3", "error_rate", "Half.", 8_000_000)

    assert progress.changed("loop", STOP)
    assert progress.changed("loop", again) == []
    assert progress.changed("loop", agent)
    assert progress.changed("other", again)
    assert progress.alarm("loop", "silence", "Nothing was heard.", 1)
    assert progress.alarm("loop", "silence", "Nothing was heard.", 2) == []


def test_a_throttle_and_a_release_have_their_own_words() -> None:
    """Slowed is not stopped; a probe and a release have no time since a fault."""
    slow = Change(1_040_000, "tool:demo/loop/kb.search", "throttled", "c1", "latency", "Slow.", 1)
    probe = Change(1_040_000, "agent:demo/loop", "half_open", "c2", "breaker.half_open")
    progress = Progress()

    assert "SLOWED after" in progress.changed("loop", slow)[0]
    assert "only kb.search" not in progress.changed("loop", probe)[0]
    assert len(Progress().changed("loop", probe)) == 1


def test_the_summary_names_every_problem() -> None:
    """Nobody has to open the report to see why the exit code is 1."""
    made = Report(
        duration_s=60.0, tenant="demo", agents=3, events=Counts(5, 4, 1, 0, 0, 1.0),
        throughput_eps=0.1, false_trips=0, false_alarms=0, false_refusals=0,
        latency_ms={"detect_to_stop": Quantiles(), "verdict": Quantiles()}, cpu_us_per_event={}, scenarios=[],
        problems=["1 events were lost"],
    )  # fmt: skip

    assert summary(made)[-1].split(maxsplit=1) == ["PROBLEM", "1 events were lost"]


def test_a_process_that_ended_costs_nothing() -> None:
    """CPU is read from the kernel; a pid that is gone is left out, not an error."""
    assert by_kind({"worker-1": 2**22 + 1}) == {}
