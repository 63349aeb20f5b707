"""`tracefuse incidents list|show|judge`: what people were told of, and what they say of it.

Exit codes: 0 done · 1 no such incident, or the word did not count · 2 wrong usage · 3 a service is away.
"""

import argparse
import asyncio
from typing import TYPE_CHECKING

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse.errors import TracefuseError

if TYPE_CHECKING:
    from ingest.records import Incident

# As many as fit a screen or two.
LIST_MAX = 100
LIST = """
SELECT
    i.incident_id AS incident, i.tenant AS tenant, i.agent_id AS agent_id, i.severity AS severity,
    i.detector AS detector, i.sentence AS sentence, i.opened_at AS at, l.label AS label,
    l.person AS by
FROM (SELECT * FROM incidents WHERE status = 'open' LIMIT 1 BY incident_id) AS i
LEFT JOIN incident_labels AS l
    ON l.tenant = i.tenant AND l.agent_id = i.agent_id AND l.signal_id = i.signal_id
WHERE ({agent:String} = '' OR (i.tenant = {tenant:String} AND i.agent_id = {agent:String}))
    AND ({detector:String} = '' OR i.detector = {detector:String})
    AND ({label:String} = '' OR l.label = if({label:String} = 'none', '', {label:String}))
ORDER BY i.opened_at DESC
LIMIT {most:UInt32}
"""
ONE = "SELECT raw FROM incidents WHERE incident_id = {incident:String} AND status = 'open' LIMIT 1"
WORDS = """
SELECT person AS by, word AS label, text AS reason, at
FROM approvals
WHERE record = 'incident_label' AND tenant = {tenant:String} AND agent_id = {agent:String}
    AND signal_id = {signal:String}
ORDER BY _offset
"""
COLUMNS = ("at", "incident", "agent", "severity", "detector", "label", "sentence")


class NoSuchIncident(TracefuseError):
    """Nothing of this id is stored. To the person at the keyboard."""


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|show|judge", required=True)
    listed = what.add_parser("list", help=f"the newest {LIST_MAX} first")
    listed.add_argument("--agent", default="", metavar="TENANT/AGENT")
    listed.add_argument("--detector", default="")
    listed.add_argument("--label", default="", choices=("real", "false", "expected", "none"))
    show = what.add_parser("show", help="one incident, and what was said of it")
    show.add_argument("incident", metavar="INCIDENT")
    judge = what.add_parser("judge", help="say whether it was right; signed, and on record")
    judge.add_argument("incident", metavar="INCIDENT")
    judge.add_argument(
        "label", choices=("real", "false", "expected"),
        help="something was wrong; nothing was; it was a change that somebody wanted",
    )  # fmt: skip
    judge.add_argument("--by", required=True, metavar="NAME", help="who judges")
    judge.add_argument("--reason", required=True, help="goes into the record, for good")
    for command in (listed, show, judge):
        command.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    return {"list": _list, "show": _show, "judge": _judge}[options.what](options, settings, out)


def _list(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from dashboards.clickhouse import client

    tenant, agent = agent_of(options.agent) if options.agent else ("", "")
    asked = {
        "tenant": tenant, "agent": agent, "detector": options.detector, "label": options.label,
        "most": LIST_MAX,
    }  # fmt: skip
    with client(settings) as connected:
        found = connected.query(LIST, parameters=asked).named_results()
        rows = [row | {"agent": f"{row['tenant']}/{row['agent_id']}"} for row in found]
    out.table(rows, COLUMNS, "no incident")
    return 0


def _show(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    import msgspec

    from dashboards.clickhouse import client

    incident = named(settings, options.incident)
    asked = {
        "tenant": incident.tenant, "agent": incident.agent_id, "signal": incident.signal_id,
    }  # fmt: skip
    with client(settings) as connected:
        words = list(connected.query(WORDS, parameters=asked).named_results())
    fields = msgspec.to_builtins(incident)
    if out.as_json:
        out.record(fields | {"words": words}, "")
        return 0
    for name, value in fields.items():
        if value and name not in ("src", "type"):
            out.say(f"{name:12} {value}")
    out.table(words, ("at", "by", "label", "reason"), "nobody has judged it")
    return 0


def _judge(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream import judgements

    held = keys.load(settings.keys_folder)
    incident = named(settings, options.incident)
    said = asyncio.run(
        judgements.judge(settings, held, incident, options.label, options.by, options.reason)
    )
    counts = {"real": said.real, "false": said.false, "expected": said.expected}
    out.record(
        {"incident_id": said.incident_id, "label": said.label, "by": said.by,
         "detector": said.detector} | counts,
        f"{said.incident_id}: {said.label}, says {said.by}; {said.detector} of {incident.tenant}/"
        f"{said.agent_id}: {said.real} real, {said.false} false, {said.expected} expected",
    )  # fmt: skip
    return 0


def named(settings: Settings, incident_id: str) -> "Incident":
    """An incident as it was told. Raises `NoSuchIncident`."""
    import msgspec

    from dashboards.clickhouse import client
    from ingest.records import Incident

    with client(settings) as connected:
        rows = connected.query(ONE, parameters={"incident": incident_id}).result_rows
    if not rows:
        raise NoSuchIncident(f"{incident_id}: no such incident is stored")
    return msgspec.json.decode(rows[0][0], type=Incident)
