"""What Alertmanager must hear: which alarms fire, when to say so again, when they are over. Pure.

An alarm is its labels, and only stable words are labels; scores and ids change with each incident and would
make a new alarm of every one. Everything else stands in the annotations of the newest incident.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingest.records import Incident
from stream.alerts.backoff import Backoff
from stream.alerts.notice import clean

AGAIN_SECONDS = 60.0  # far below Alertmanager's resolve_timeout of 5 min
# Each word holds so long without another: should this process die, the alarm ends by itself.
HOLDS_SECONDS = 300.0
RESOLVED_SECONDS = 300.0  # how long an end is repeated: one lost message must not leave it firing
# An incident that nobody resolves: what still stands open is on the dashboard by then.
FIRING_SECONDS = 3600.0
FIRING_MAX = 10_000  # label sets; beyond it the one heard of longest ago goes

Labels = tuple[tuple[str, str], ...]
Alert = dict[str, Any]


def labels(incident: Incident) -> Labels:
    """The identity of an alarm.

    A stop is `BreakerOpen`, which mutes its agent's findings; all else is a `Finding`.
    """
    return (
        ("alertname", "BreakerOpen" if incident.cmd_id else "Finding"),
        ("tenant", incident.tenant),
        ("agent_id", incident.agent_id),
        ("rule", incident.detector),
        ("severity", incident.severity),
        *([("node", incident.node)] if incident.node else []),
    )


@dataclass(slots=True)
class _Alarm:
    newest: Incident
    opened: float  # s, record time of the first incident
    until: float  # s: fires till then
    count: int = 1
    said: float = float("-inf")  # when Alertmanager heard of it last
    news: bool = True


class Firing:
    """Alarms of all agents.

    Notes
    -----
    `now` and the incidents' record time are seconds of the same wall clock, give or take some.

    Examples
    --------
    >>> found = Incident(incident_id="inc-1", tenant="acme", agent_id="refunds", severity="high",
    ...     title="t", sentence="Four identical calls.", detector="exact_loop", action="stop-run",
    ...     signal_id="s", cmd_id="cmd-1", opened_at=100.0)
    >>> firing = Firing()
    >>> firing.take(found, heard=100.5)
    >>> [alert["labels"]["alertname"] for alert in firing.due(101.0)]
    ['BreakerOpen']
    >>> firing.said(101.0)
    >>> len(firing.due(102.0)), len(firing.due(161.0))
    (0, 1)
    """

    def __init__(self) -> None:
        self.evicted = 0
        self._alarms: dict[Labels, _Alarm] = {}
        self._asked: dict[Labels, _Alarm] = {}
        self._retry = Backoff()

    def __len__(self) -> int:
        return len(self._alarms)

    def take(self, incident: Incident, heard: float) -> None:
        """An incident opened or is resolved, and people hear of it at `heard`."""
        key = labels(incident)
        known = self._alarms.pop(key, None)
        opened = incident.opened_at
        until = heard if incident.status == "resolved" else heard + FIRING_SECONDS
        if known is not None and known.until >= opened:
            opened = known.opened
        self._alarms[key] = _Alarm(incident, opened, until, 1 + (known.count if known else 0))
        if len(self._alarms) > FIRING_MAX:
            del self._alarms[next(iter(self._alarms))]
            self.evicted += 1

    def due(self, now: float) -> list[Alert]:
        """What to post now: all news, and what was said too long ago. Then call `said` or `failed`."""
        if not self._retry.over(now):
            return []
        over = [k for k, a in self._alarms.items() if now > a.until + RESOLVED_SECONDS]
        for key in over:
            del self._alarms[key]
        self._asked = {
            key: alarm
            for key, alarm in self._alarms.items()
            if alarm.news or now - alarm.said >= AGAIN_SECONDS
        }
        return [_alert(key, alarm, now) for key, alarm in self._asked.items()]

    def said(self, now: float) -> None:
        """Alertmanager has taken what was due."""
        for alarm in self._asked.values():  # one that came meanwhile is another object
            alarm.said, alarm.news = now, False
        self._asked = {}
        self._retry = Backoff()

    def failed(self, now: float) -> None:
        """Alertmanager did not take it: all of it is due again, a little later."""
        self._asked = {}
        self._retry.failed(now)


def _alert(key: Labels, alarm: _Alarm, now: float) -> Alert:
    incident = alarm.newest
    return {
        "labels": dict(key),
        "annotations": {
            "summary": clean(incident.title),
            "description": clean(incident.sentence),
            "why": clean(incident.why),
            "owasp": clean(" ".join(incident.owasp)),
            "atlas": clean(" ".join(incident.atlas)),
            "incident_id": incident.incident_id,
            "scope": clean(incident.scope),
            "action": incident.action,
            "cmd_id": incident.cmd_id,
            "trace_id": incident.trace_id,
            "last_event": clean(incident.last_event),
            "owner": clean(incident.owner),
            "count": str(alarm.count),
        },
        "startsAt": _rfc3339(min(alarm.opened, alarm.until)),  # a start after the end is refused
        "endsAt": _rfc3339(min(alarm.until, now + HOLDS_SECONDS)),
    }


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
