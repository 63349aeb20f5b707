"""`tracefuse registry`: agents' files checked, compared, signed and published, or suggested from history."""

import argparse
import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import msgspec

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest import keys, registry
from ingest.agent_diff import changes
from ingest.agent_suggest import suggest
from ingest.agent_toml import written
from ingest.registry import AgentFile, BadFile
from ingest.settings import Settings
from tracefuse.errors import ConfigError

WHAT = {
    "check": "every mistake of a folder's files, with its line",
    "show": "what is in force: all agents, or the file of one",
    "diff": "what files would change, in words",
    "publish": "sign what is new and bring it into force",
    "suggest": "the narrowest file that fits what an agent did",
    "schema": "JSON Schema of an agent's file",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", choices=WHAT, help="; ".join(f"{name}: {text}" for name, text in WHAT.items())
    )
    parser.add_argument(
        "target", nargs="?", default="",
        help="check, diff, publish: a folder or a file, default TRACEFUSE_REGISTRY;"
        " show, suggest: TENANT/AGENT",
    )  # fmt: skip
    parser.add_argument(
        "--against", default="", help="diff: a folder or a file, not what is in force"
    )
    parser.add_argument("--days", type=int, default=14, help="suggest: how far to look back")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    if options.what == "schema":
        return _schema(out)
    if options.what == "show":
        return _show(options.target, settings, out)
    if options.what == "suggest":
        return _suggest(options.target, options.days, settings, out)
    try:
        agents = _files(options.target or settings.registry)
    except BadFile as error:
        rows = [asdict(mistake) for mistake in error.mistakes]
        out.table(rows, ("file", "line", "key", "words"), "")
        return 1
    if options.what == "diff":
        return _diff(agents, options.against, settings, out)
    return _publish(agents, settings, out, options.what == "publish")


def _files(place: str) -> dict[tuple[str, str], AgentFile]:
    """Agents of a folder or of one file."""
    path = Path(place)
    if place and path.is_file():
        agent = registry.read(path)
        return {(agent.tenant, agent.agent): agent}
    if not place or not path.is_dir():
        raise ConfigError(
            f"no folder of agent files: {place or 'name one, or set TRACEFUSE_REGISTRY'}"
        )
    return registry.load(path)


def _in_force(settings: Settings) -> dict[str, AgentFile]:
    from stream.people.registration import in_force

    return asyncio.run(in_force(settings, keys.load(settings.keys_folder)))


def _publish(
    agents: dict[tuple[str, str], AgentFile], settings: Settings, out: Output, really: bool
) -> int:
    if really:
        from stream.people.registration import publish

        count = asyncio.run(publish(settings, keys.load(settings.keys_folder), agents.values()))
        out.say(f"signed and published {count} of {len(agents)}; the others are in force already")
    rows = [_summary(agent) for agent in agents.values()]
    out.table(rows, ("agent", "version", "digest"), "no agent files there")
    return 0


def _summary(agent: AgentFile) -> dict[str, object]:
    return {
        "agent": f"{agent.tenant}/{agent.agent}", "version": agent.version, "digest": agent.digest,
        "owner": agent.owner.name, "environment": agent.environment, "tools": len(agent.tools),
        "review_by": agent.review_by,
    }  # fmt: skip


def _show(name: str, settings: Settings, out: Output) -> int:
    known = _in_force(settings)
    if not name:
        columns = ("agent", "version", "owner", "environment", "tools", "review_by", "digest")
        out.table([_summary(known[key]) for key in sorted(known)], columns, "nothing is in force")
        return 0
    key = "/".join(agent_of(name))
    if key not in known:
        out.record({"agent": key, "file": None}, f"no file of {key} is in force")
        return 1
    _text(known[key], [], out)
    return 0


def _diff(
    agents: dict[tuple[str, str], AgentFile], against: str, settings: Settings, out: Output
) -> int:
    if against:
        known = {"/".join(key): agent for key, agent in _files(against).items()}
    else:
        known = _in_force(settings)
    rows = [
        {"agent": "/".join(key), "effect": change.effect, "change": change.words}
        for key, agent in agents.items()
        for change in changes(known.get("/".join(key)), agent)
    ]
    out.table(rows, ("agent", "effect", "change"), "nothing would change")
    return 0


def _suggest(name: str, days: int, settings: Settings, out: Output) -> int:
    from dashboards.clickhouse import client
    from dashboards.history import history

    tenant, agent = agent_of(name)
    current = _in_force(settings).get(f"{tenant}/{agent}")
    with client(settings) as connected:
        uses, minutes, runs = history(connected, tenant, agent, days)
    if not runs:
        out.record(
            {"agent": f"{tenant}/{agent}", "file": None},
            f"nothing is known of {tenant}/{agent} in the last {days} days",
        )
        return 1
    made = suggest(current, AgentFile(agent, tenant), uses, minutes, runs)
    unused = [f"never used in {days} days: {grant}" for grant in made.unused]
    _text(made.file, made.notes + unused, out)
    return 0


def _text(agent: AgentFile, notes: list[str], out: Output) -> None:
    """A file as TOML that can be saved; its notes are comments."""
    if out.as_json:
        out.record({"file": msgspec.to_builtins(agent), "notes": notes}, "")
        return
    for line in [*(f"# {note}" for note in notes), *written(agent).splitlines()]:
        out.say(line)


def _schema(out: Output) -> int:
    found = registry.schema()
    if out.as_json:
        out.record(found, "")
        return 0
    for line in json.dumps(found, indent=2, ensure_ascii=False).splitlines():
        out.say(line)
    return 0
