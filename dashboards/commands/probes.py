"""`tracefuse probes check|list`: whether a file of probes can be taken, and how probes went."""

import argparse
from pathlib import Path

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest.settings import Settings
from tracefuse.errors import ConfigError
from tracefuse.probe_file import BadProbes, parse

RESULTS = """
SELECT tenant, agent_id, probe_set, probe, result, sentence, bundle, trace_id, at
FROM probe_results
WHERE {agent:String} = '' OR (tenant = {tenant:String} AND agent_id = {agent:String})
ORDER BY at DESC
LIMIT {most:UInt32}
"""
COLUMNS = ("agent", "probe_set", "probe", "result", "at", "bundle", "sentence")


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="check|list", required=True)
    check = what.add_parser("check", help="every mistake of a file, each with its line")
    check.add_argument("file", type=Path)
    check.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    listed = what.add_parser("list", help="how probes went, the newest first")
    listed.add_argument("--agent", default="", metavar="TENANT/AGENT", help="only this one")
    listed.add_argument("--most", type=int, default=50, metavar="N", help="lines; default: 50")
    listed.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    if options.what == "check":
        return _check(options.file, out)
    from dashboards.clickhouse import client

    tenant, agent = agent_of(options.agent) if options.agent else ("", "")
    asked = {"tenant": tenant, "agent": agent, "most": options.most}
    with client(settings) as connected:
        found = connected.query(RESULTS, parameters=asked)
        rows = [
            row | {"agent": f"{row['tenant']}/{row['agent_id']}"} for row in found.named_results()
        ]
    out.table(rows, COLUMNS, "no probe has run")
    return 0


def _check(file: Path, out: Output) -> int:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    try:
        found = parse(text, str(file))
    except BadProbes as bad:
        for mistake in bad.mistakes:
            out.error(mistake, 1)
        return 1
    hours = f"{found.every_s / 3600:g}"
    told = {"file": str(file), "set": found.set, "probes": len(found.probes), "every_hours": hours}
    out.record(
        told, f"{file}: set {found.set}, {len(found.probes)} probes, each every {hours} hours"
    )
    return 0
