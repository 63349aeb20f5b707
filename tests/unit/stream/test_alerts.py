"""Who hears of which incident: once, soon, and never in a storm."""

import json
from itertools import pairwise
from typing import Any

from ingest.records import Incident
from stream.alerts import outbox as limits
from stream.alerts.desk import Desk
from stream.alerts.firing import (
    AGAIN_SECONDS,
    FIRING_MAX,
    FIRING_SECONDS,
    HOLDS_SECONDS,
    RESOLVED_SECONDS,
    Firing,
)
from stream.alerts.notice import CHARACTERS_MAX, LISTED_MAX, clean, of_many, of_one
from stream.alerts.outbox import AGENT_PER_MINUTE, GIVE_UP_SECONDS, MINUTE, ROUTE_PER_MINUTE, Outbox

HOOK = "json://127.0.0.1:9/hook"
START = 1_795_000_000.0


def incident(number: int = 1, **more: Any) -> Incident:
    said: dict[str, Any] = {
        "incident_id": f"inc-{number}", "tenant": "acme", "agent_id": "refunds",
        "severity": "high", "title": "exact_loop stop-run: refunds",
        "sentence": "Four identical calls.", "detector": "exact_loop", "action": "stop-run",
        "scope": "run:acme/refunds/x", "cmd_id": "cmd-1", "signal_id": "sig", "owner": "Payments",
        "routes": [HOOK], "opened_at": START,
    }  # fmt: skip
    return Incident(**(said | more))


def sent(box: Outbox, now: float) -> list[int]:
    """How many incidents each message tells of, as long as one is due at this moment."""
    found = []
    while (message := box.take(now)) is not None:
        found.append(len(message.incidents))
        box.delivered(now)
    return found


# -- one route ----------------------------------------------------------------------------------------


def test_few_incidents_go_one_by_one() -> None:
    """Up to an agent's share of a minute each has a message of its own."""
    box = Outbox()
    for n in range(AGENT_PER_MINUTE):
        box.add(incident(n), 0.0)

    assert sent(box, 0.0) == [1] * AGENT_PER_MINUTE


def test_more_than_an_agents_share_go_together() -> None:
    """The first ones are heard at once, the others within the minute, in one summary."""
    box = Outbox()
    for n in range(AGENT_PER_MINUTE):
        box.add(incident(n), 0.0)
    assert sent(box, 0.0) == [1] * AGENT_PER_MINUTE
    for n in range(100, 140):
        box.add(incident(n), 1.0)

    assert sent(box, 1.0) == []
    assert sent(box, MINUTE - 0.1) == []
    assert sent(box, MINUTE) == [40]


def test_one_agents_flood_leaves_the_others_heard() -> None:
    """The share is each agent's own."""
    box = Outbox()
    for n in range(50):
        box.add(incident(n), 0.0)
    box.add(incident(99, agent_id="billing"), 0.0)

    assert sent(box, 0.0) == [50, 1]


def test_a_flood_over_many_agents_is_bounded_too() -> None:
    """A route takes so many messages a minute over all agents, then one for all."""
    box = Outbox()
    for n in range(200):
        box.add(incident(n, agent_id=f"agent-{n}"), 0.0)

    assert sent(box, 0.0) == [200]
    for n in range(ROUTE_PER_MINUTE + 5):
        box.add(incident(n, agent_id=f"agent-{n}"), 1.0)
        assert len(sent(box, 1.0)) <= 1
    assert len(box._sent) <= ROUTE_PER_MINUTE


def test_a_route_that_is_down_is_tried_again_more_and_more_rarely() -> None:
    """Doubling pauses up to a minute; then everything in one message: no storm at heal."""
    box, now, tries = Outbox(), 0.0, 0
    for n in range(20):
        box.add(incident(n, agent_id=f"agent-{n}"), now)
    while now < 600.0:
        if box.take(now) is not None:
            box.failed(now)
            tries += 1
        now += 0.5

    assert 10 <= tries <= 20
    assert sent(box, now + limits.MINUTE) == [20]


def test_a_dead_route_is_given_up() -> None:
    """Bounded: after an hour of failures the incidents are returned, so that the log can go on."""
    box = Outbox()
    box.add(incident(), 0.0)

    assert box.take(0.0) is not None
    assert box.failed(0.0) == ()
    assert box.take(GIVE_UP_SECONDS) is not None
    assert len(box.failed(GIVE_UP_SECONDS)) == 1
    assert len(box) == 0


def test_a_route_holds_so_many() -> None:
    """The oldest are returned, not forgotten silently."""
    box = Outbox()
    lost = [one for n in range(limits.WAITING_MAX + 3) for one in box.add(incident(n), 0.0)]

    assert [one.incident_id for one in lost] == ["inc-0", "inc-1", "inc-2"]


def test_one_message_at_a_time() -> None:
    """A slow route gets no second message while the first is on its way."""
    box = Outbox()
    box.add(incident(1), 0.0)
    box.add(incident(2), 0.0)

    assert box.take(0.0) is not None
    assert box.take(0.0) is None


# -- Alertmanager -------------------------------------------------------------------------------------


def test_only_stable_words_are_labels() -> None:
    """Scores, ids and sentences differ from incident to incident; the alarm stays one."""
    firing = Firing()
    firing.take(incident(1), START)
    firing.take(incident(2, sentence="Five identical calls.", trace_id="t2"), START)
    (alert,) = firing.due(START)

    assert alert["labels"] == {
        "alertname": "BreakerOpen", "tenant": "acme", "agent_id": "refunds",
        "rule": "exact_loop", "severity": "high",
    }  # fmt: skip
    assert alert["annotations"]["incident_id"] == "inc-2"
    assert alert["annotations"]["count"] == "2"
    assert json.dumps(alert)


def test_a_finding_is_no_breaker() -> None:
    """An alarm without a command is muted while its agent's breaker stands open: another name."""
    firing = Firing()
    firing.take(incident(cmd_id="", scope=""), START)

    assert firing.due(START)[0]["labels"]["alertname"] == "Finding"


def test_what_fires_is_said_again_until_it_is_over() -> None:
    """Every minute, each time for five minutes more; at the end the end is repeated."""
    firing = Firing()
    firing.take(incident(), START)
    said, ends, now = [], [], START
    while now < START + FIRING_SECONDS + 2 * RESOLVED_SECONDS:
        for alert in firing.due(now):
            said.append(now)
            ends.append(alert["endsAt"])
        firing.said(now)
        now += 1.0

    assert [b - a for a, b in pairwise(said)] == [AGAIN_SECONDS] * (len(said) - 1)
    assert said[-1] >= START + FIRING_SECONDS + RESOLVED_SECONDS - AGAIN_SECONDS
    assert len(set(ends[-5:])) == 1
    assert HOLDS_SECONDS > 2 * AGAIN_SECONDS
    assert len(firing) == 0


def test_a_resolved_incident_ends_its_alarm() -> None:
    """At once, and said for five minutes."""
    firing = Firing()
    firing.take(incident(), START)
    firing.due(START)
    firing.said(START)
    firing.take(incident(status="resolved"), START + 10)
    (alert,) = firing.due(START + 10)

    assert alert["endsAt"] < "2026-11-18T13:06:51"
    assert alert["startsAt"] < alert["endsAt"]
    firing.said(START + 10)
    assert len(firing.due(START + 10 + AGAIN_SECONDS)) == 1
    assert firing.due(START + 11 + RESOLVED_SECONDS) == []


def test_news_while_a_post_is_on_its_way_is_posted_next() -> None:
    """The answer to the older word does not swallow the newer one."""
    firing = Firing()
    firing.take(incident(1), START)
    firing.due(START)
    firing.take(incident(2), START)
    firing.said(START)

    assert firing.due(START)[0]["annotations"]["incident_id"] == "inc-2"


def test_a_refused_post_is_tried_again() -> None:
    """Later, and complete."""
    firing = Firing()
    firing.take(incident(), START)
    assert len(firing.due(START)) == 1
    firing.failed(START)

    assert firing.due(START + 0.5) == []
    assert len(firing.due(START + 1.0)) == 1


def test_alarms_are_bounded() -> None:
    """A flood of names evicts the oldest, and says so."""
    firing = Firing()
    for n in range(FIRING_MAX + 2):
        firing.take(incident(n, agent_id=f"agent-{n}"), START)

    assert len(firing) == FIRING_MAX
    assert firing.evicted == 2


# -- the desk -----------------------------------------------------------------------------------------


def test_an_incident_is_told_once() -> None:
    """A replayed record, or a second line of the same incident, reaches nobody."""
    desk = Desk(alertmanager=False)
    for offset in range(3):
        desk.take((0, offset), incident(), told=False, now=START)

    assert [len(message.incidents) for _, message in desk.messages(START)] == [1]
    assert desk.repeats == 2


def test_the_end_of_an_incident_is_another_word() -> None:
    """Open and resolved are both told."""
    desk = Desk(alertmanager=False)
    desk.take((0, 0), incident(), told=False, now=START)
    desk.take((0, 1), incident(status="resolved"), told=False, now=START)
    titles = []
    for _ in range(2):
        for route, message in desk.messages(START):
            titles.append(message.notice.title)
            desk.delivered(route, START)

    assert "resolved" not in titles[0]
    assert "resolved" in titles[1]


def test_a_position_waits_for_every_route() -> None:
    """Committed is what all have heard; a crash before tells again."""
    desk = Desk(alertmanager=True)
    both = incident(1, routes=["alertmanager", HOOK])
    desk.take((4, 7), both, told=False, now=START)
    desk.skip((4, 8))
    assert desk.safe() == {4: 7}
    ((route, _),) = desk.messages(START)
    desk.delivered(route, START)
    assert desk.safe() == {4: 7}
    assert len(desk.alerts(START)) == 1
    desk.posted(START)

    assert desk.safe() == {4: 9}


def test_a_record_of_two_incidents_waits_for_both() -> None:
    """The position is the record's; each of its incidents must be heard."""
    desk = Desk(alertmanager=False)
    for n in (1, 2):
        desk.take((0, 5), incident(n), told=False, now=START)
    for expected in (5, 6):
        ((route, _),) = desk.messages(START)
        desk.delivered(route, START)
        assert desk.safe() == {0: expected}


def test_a_hopeless_route_does_not_hold_the_log() -> None:
    """An address that cannot be read is counted and passed over; the other routes are heard."""
    desk = Desk(alertmanager=False)
    desk.take((0, 0), incident(routes=["nonsense", HOOK]), told=False, now=START)
    for route, _ in desk.messages(START):
        if route == "nonsense":
            desk.failed(route, START, hopeless=True)
        else:
            desk.delivered(route, START)

    assert desk.untold == 1
    assert desk.safe() == {0: 1}


def test_a_restart_knows_what_fires_and_tells_nobody_again() -> None:
    """Records below the committed position only rebuild the state of Alertmanager's alarms."""
    desk = Desk(alertmanager=True)
    desk.take((0, 0), incident(routes=["alertmanager", HOOK]), told=True, now=START + 100)

    assert desk.messages(START + 100) == []
    assert len(desk.alerts(START + 100)) == 1
    assert desk.safe() == {0: 1}


def test_without_routes_alertmanager_hears() -> None:
    """An agent without an owner must not be stopped in silence."""
    desk = Desk(alertmanager=True)
    desk.take((0, 0), incident(routes=[], owner=""), told=False, now=START)

    assert len(desk.alerts(START)) == 1


def test_old_news_is_still_news() -> None:
    """What was opened while nobody told fires for its full time from now on."""
    desk = Desk(alertmanager=True)
    long_after = START + 10 * FIRING_SECONDS
    desk.take((0, 0), incident(routes=["alertmanager"]), told=False, now=long_after)
    (alert,) = desk.alerts(long_after)
    desk.posted(long_after)

    assert alert["endsAt"] > "2026-11-18T21:06:41"
    assert desk.safe() == {0: 1}


def test_alertmanager_away_is_not_forever() -> None:
    """After an hour of refusals the position moves on; the alarm itself is still tried."""
    desk = Desk(alertmanager=True)
    desk.take((0, 0), incident(routes=["alertmanager"]), told=False, now=START)
    for later in (0.0, GIVE_UP_SECONDS + 1):
        assert len(desk.alerts(START + later)) == 1
        desk.refused(START + later)

    assert desk.safe() == {0: 1}
    assert desk.untold == 1


# -- words --------------------------------------------------------------------------------------------


def test_a_notice_says_what_happened_and_whose_it_is() -> None:
    """Severity, agent, sentence, owner, incident, trace."""
    notice = of_one(incident(trace_id="0af7"))

    for word in ("high", "refunds", "Four identical calls.", "Payments", "inc-1", "0af7"):
        assert word in notice.title + notice.body


def test_a_summary_counts_and_names_the_first() -> None:
    """However many there are, it stays readable."""
    notice = of_many([incident(n) for n in range(300)])

    assert notice.title == "300 incidents of refunds"
    assert "refunds: exact_loop × 300" in notice.body
    assert f"and {300 - LISTED_MAX} more" in notice.body
    assert len(notice.body.splitlines()) == LISTED_MAX + 2


def test_names_of_agents_cannot_move_the_cursor() -> None:
    """F26: control characters, line breaks and reversed text go; lengths are bounded."""
    evil = "a\x1b]0;x\x07\r\n# title\u202e" + "x" * 5000
    notice = of_one(incident(agent_id=evil, title=evil, sentence=evil, owner=evil))

    assert clean(evil).isprintable()
    assert all(line.isprintable() for line in (notice.title, *notice.body.splitlines()))
    assert len(notice.body.splitlines()) == 4
    assert len(clean(evil)) == CHARACTERS_MAX
