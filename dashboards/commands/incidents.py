"""`tracefuse incidents list|show|judge|export|check`: what people were told of, and what they say of it.

Exit codes: 0 done · 1 no such incident, the word did not count, no case could be made, or a case did not end
as expected · 2 wrong usage, or a file that holds no cases · 3 a service is away. `check` needs no service.
"""

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboards.naming import agent_of, moment
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse.clock import now_us
from tracefuse.errors import ConfigError, TracefuseError

if TYPE_CHECKING:
    from ingest.records import Incident

# As many as fit a screen or two.
LIST_MAX = 100
LABELS = ("real", "false", "expected", "none")
LIST = """
SELECT
    i.incident_id AS incident, i.tenant AS tenant, i.agent_id AS agent_id, i.severity AS severity,
    i.rank AS rank, i.agents AS agents,
    i.detector AS detector, i.sentence AS sentence, i.opened_at AS at, l.label AS label,
    l.person AS by
FROM (SELECT * FROM incidents WHERE status = 'open' LIMIT 1 BY incident_id) AS i
LEFT JOIN incident_labels AS l
    ON l.tenant = i.tenant AND l.agent_id = i.agent_id AND l.signal_id = i.signal_id
WHERE ({agent:String} = '' OR (
        i.tenant = {tenant:String} AND (i.agent_id = {agent:String} OR has(i.agents, {agent:String}))
    ))
    AND ({detector:String} = '' OR i.detector = {detector:String})
    AND ({label:String} = '' OR l.label = if({label:String} = 'none', '', {label:String}))
    AND ({risk:String} = '' OR has(i.owasp, {risk:String}))
ORDER BY if({worst:Bool}, i.rank, 0) DESC, i.opened_at DESC
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
TOLD = """
SELECT
    i.incident_id AS incident_id, i.tenant AS tenant, i.agent_id AS agent_id, l.label AS label,
    s.detector AS detector, s.action AS action, s.step_id AS step_id, s.trace_id AS trace_id,
    toFloat64(s.at) AS at, s.sentence AS sentence
FROM (
    SELECT * FROM incidents
    WHERE status = 'open' AND opened_at >= fromUnixTimestamp64Milli({since:Int64}) AND agent_id != ''
    LIMIT 1 BY incident_id
) AS i
INNER JOIN (SELECT * FROM signals LIMIT 1 BY tenant, signal_id) AS s
    ON s.tenant = i.tenant AND s.signal_id = i.signal_id AND s.detector = i.detector
LEFT JOIN incident_labels AS l
    ON l.tenant = i.tenant AND l.agent_id = i.agent_id AND l.signal_id = i.signal_id
WHERE ({agent:String} = '' OR (i.tenant = {tenant:String} AND i.agent_id = {agent:String}))
    AND ({label:String} = '' OR l.label = if({label:String} = 'none', '', {label:String}))
ORDER BY i.opened_at
LIMIT {most:UInt32}
"""
EXPORT_MAX = 1000  # cases of one file: 50 MB at most
COLUMNS = ("at", "incident", "agent", "severity", "rank", "detector", "label", "sentence")


class NoSuchIncident(TracefuseError):
    """Nothing of this id is stored. To the person at the keyboard."""


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="list|show|judge|export|check", required=True)
    listed = what.add_parser("list", help=f"the newest {LIST_MAX} first")
    listed.add_argument("--agent", default="", metavar="TENANT/AGENT", help="only this one")
    listed.add_argument("--detector", default="", metavar="NAME", help="only this one")
    listed.add_argument("--label", default="", choices=LABELS, help="none: not judged yet")
    listed.add_argument(
        "--risk", default="", metavar="ID", help="only this one of OWASP's, as ASI01"
    )
    listed.add_argument("--worst", action="store_true", help="by rank: severity, then certainty")
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
    export = what.add_parser("export", help="incidents as regression cases, one a line (JSONL)")
    export.add_argument("--since", required=True, metavar="WHEN", help="7d, 2h, or a date (UTC)")
    export.add_argument("--agent", default="", metavar="TENANT/AGENT", help="only this one")
    export.add_argument("--label", default="", choices=LABELS, help="none: not judged yet")
    export.add_argument("--to", required=True, type=Path, metavar="FILE", help="is written anew")
    check = what.add_parser("check", help="play cases: does each detector still do what it must?")
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument(
        "--policy", type=Path, metavar="FILE", help="under this agent's file, not the case's own"
    )
    for command in (listed, show, judge, export, check):
        command.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    called = {"list": _list, "show": _show, "judge": _judge, "export": _export, "check": _check}
    return called[options.what](options, settings, out)


def _list(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from dashboards.clickhouse import client

    tenant, agent = agent_of(options.agent) if options.agent else ("", "")
    asked = {
        "tenant": tenant, "agent": agent, "detector": options.detector, "label": options.label,
        "risk": options.risk, "worst": options.worst, "most": LIST_MAX,
    }  # fmt: skip
    with client(settings) as connected:
        found = connected.query(LIST, parameters=asked).named_results()
        rows = [row | {"agent": f"{row['tenant']}/{_whom(row)}"} for row in found]
    out.table(rows, COLUMNS, "no incident")
    return 0


def _whom(row: dict[str, Any]) -> str:
    """The agent, or how many there are."""
    return row["agent_id"] or (f"({len(row['agents'])} agents)" if row["agents"] else "")


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
            shown = datetime.fromtimestamp(value, UTC) if name == "opened_at" else value
            out.say(f"{name:15} {shown}")
    out.table(words, ("at", "by", "label", "reason"), "nobody has judged it")
    return 0


def _judge(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream.people import judgements

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


def _export(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    import msgspec

    from dashboards.clickhouse import client
    from stream.replay import export
    from stream.replay.cases import Expected

    held = keys.load(settings.keys_folder)
    tenant, agent = agent_of(options.agent) if options.agent else ("", "")
    asked = {
        "since": round(moment(options.since, now_us() / 1e6) * 1000), "tenant": tenant, "agent": agent,
        "label": options.label, "most": EXPORT_MAX,
    }  # fmt: skip
    with client(settings) as connected:
        rows = list(connected.query(TOLD, parameters=asked).named_results())
    # What was said to be nothing must not be said again.
    told = [
        export.Told(
            row.pop("incident_id"), row.pop("tenant"), row.pop("agent_id"), row["label"],
            Expected(fires=row.pop("label") != "false", **row),
        )
        for row in rows
    ]  # fmt: skip
    cases, lost = asyncio.run(export.cases(settings, held, told))
    options.to.write_bytes(b"".join(msgspec.json.encode(case) + b"\n" for case in cases))
    for one in lost:
        out.say(
            f"{one.incident_id} ({one.expected.detector}): no case; its facts are gone, or it needs"
            " a longer past than a case holds"
        )
    out.record(
        {"cases": len(cases), "lost": [one.incident_id for one in lost], "file": str(options.to)},
        f"{len(cases)} of {len(told)} incidents are cases in {options.to}",
    )
    return 1 if lost or not cases else 0


def _check(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from ingest import registry
    from stream.replay.cases import play, read

    try:
        cases = read(options.file.read_bytes(), options.file.name)
    except OSError as error:
        raise ConfigError(f"{options.file}: {error.strerror}") from error
    if not cases:
        raise ConfigError(f"{options.file}: it holds no case")
    file = registry.read(options.policy) if options.policy else None
    rows = []
    for case in cases:
        if file is not None and (file.tenant, file.agent) != (case.file.tenant, case.file.agent):
            raise ConfigError(f"{case.incident_id} is of {case.file.tenant}/{case.file.agent}")
        played = play(case, file)
        verdict = "ok" if played.good else "FAILED"
        rows.append({"incident": case.incident_id, "case": verdict, "found": played.words})
    out.table(rows, ("case", "incident", "found"), "")
    return 0 if all(row["case"] == "ok" for row in rows) else 1


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
