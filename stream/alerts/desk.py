"""Who must hear of which incident, and what of the log is thereby done. Pure.

Between the topic of incidents and the routes of their owners (`alerts.py` moves the bytes). An
incident's offset is done when each of its routes has heard of it or was given up.
"""

from ingest.records import Incident
from stream.alerts.firing import Alert, Firing
from stream.alerts.outbox import GIVE_UP_SECONDS, Message, Outbox

ALERTMANAGER = "alertmanager"
SEEN_MAX = 10_000  # incidents remembered, so that a repeat is told to nobody
ROUTES_MAX = 1000  # apprise addresses; they come from signed agent files, so more is a mistake

Place = tuple[int, int]  # partition, offset


class Desk:
    """All incidents on their way to people.

    Parameters
    ----------
    alertmanager
        Whether there is one.
    """

    def __init__(self, alertmanager: bool):
        self.firing = Firing()
        self.outboxes: dict[str, Outbox] = {}
        self.repeats = 0
        self.untold = 0  # incidents that a route never heard of
        self._alertmanager = alertmanager
        self._seen: dict[tuple[str, str], None] = {}
        self._next: dict[int, int] = {}
        self._open: dict[Place, int] = {}  # routes that have not heard of an incident there
        self._waits: dict[int, tuple[Place, int]] = {}  # the same by incident object
        self._posted: list[Incident] = []
        self._news: list[Incident] = []

    def take(self, place: Place, incident: Incident, told: bool, now: float) -> None:
        """The incident at `place`. One that was `told` before only counts for what fires."""
        self._next[place[0]] = place[1] + 1
        key = (incident.incident_id, incident.status)
        if key in self._seen:
            self.repeats += 1
            return
        self._seen[key] = None
        if len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        if incident.muted:
            return  # its parent's notice says it
        routes = dict.fromkeys(incident.routes or (ALERTMANAGER,))
        if self._alertmanager and ALERTMANAGER in routes:
            self.firing.take(incident, heard=incident.opened_at if told else now)
            if not told:
                self._opened(place, incident)
                self._news.append(incident)
        for route in routes:
            if route != ALERTMANAGER and not told:
                self._opened(place, incident)
                self._queue(route, incident, now)

    def skip(self, place: Place) -> None:
        """A record that holds no incident."""
        self._next[place[0]] = place[1] + 1

    def safe(self) -> dict[int, int]:
        """By partition the offset up to which everybody has heard of everything."""
        found = dict(self._next)
        for partition, offset in self._open:
            found[partition] = min(found[partition], offset)
        return found

    # -- Alertmanager ------------------------------------------------------------------------------

    def alerts(self, now: float) -> list[Alert]:
        """What to post; then call `posted` or `refused`."""
        due = self.firing.due(now)
        if due:
            self._posted, self._news = self._posted + self._news, []
        return due

    def posted(self, now: float) -> None:
        self.firing.said(now)
        self._told(self._posted)
        self._posted = []

    def refused(self, now: float) -> None:
        """It did not take them: tried again, for as long as the alarm fires."""
        self.firing.failed(now)
        lost = [one for one in self._posted if now - one.opened_at > GIVE_UP_SECONDS]
        self._posted = [one for one in self._posted if one not in lost]
        self.untold += len(lost)
        self._told(lost)

    # -- other routes ------------------------------------------------------------------------------

    def delivered(self, route: str, now: float) -> None:
        """The route took its message."""
        self._told(self.outboxes[route].delivered(now))

    def failed(self, route: str, now: float, hopeless: bool = False) -> None:
        """It did not, or it never will."""
        lost = self.outboxes[route].failed(now, hopeless)
        self.untold += len(lost)
        self._told(lost)

    def messages(self, now: float) -> list[tuple[str, Message]]:
        """Messages to send now, at most one for each route."""
        found = ((route, outbox.take(now)) for route, outbox in self.outboxes.items())
        return [(route, message) for route, message in found if message is not None]

    def _queue(self, route: str, incident: Incident, now: float) -> None:
        outbox = self.outboxes.get(route)
        if outbox is None and len(self.outboxes) < ROUTES_MAX:
            outbox = self.outboxes[route] = Outbox()
        lost = [incident] if outbox is None else outbox.add(incident, now)
        self.untold += len(lost)
        self._told(lost)

    def _opened(self, place: Place, incident: Incident) -> None:
        self._open[place] = self._open.get(place, 0) + 1
        self._waits[id(incident)] = (place, self._waits.get(id(incident), (place, 0))[1] + 1)

    def _told(self, incidents: list[Incident] | tuple[Incident, ...]) -> None:
        for incident in incidents:
            place, routes = self._waits.pop(id(incident))
            if routes > 1:
                self._waits[id(incident)] = (place, routes - 1)
            self._open[place] -= 1
            if not self._open[place]:
                del self._open[place]
