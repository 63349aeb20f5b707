"""`tracefuse rollout AGENT --to BUNDLE`, then `--next`: another bundle for the runs, stage by stage.

Exit code 1 when the stage lacks something: nothing is changed then. `--share` jumps, and needs a reason.
"""

import argparse
import asyncio
import getpass
from typing import NamedTuple

import msgspec

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest import keys
from ingest.agent_file import AgentFile, Grant, Name, Part
from ingest.settings import Settings
from tracefuse.clock import now_us
from tracefuse.errors import ConfigError

OK, NO = 0, 1


class Wanted(NamedTuple):
    """Where a roll-out is to go, and what the gate before it misses."""

    bundle: str
    share: float
    shown: str
    lacking: list[str]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "agent", metavar="AGENT", help="TENANT/AGENT; without tenant: default/AGENT"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", default="", metavar="BUNDLE", help="its hash: begin the first stage")
    what.add_argument(
        "--next", action="store_true", help="the next stage, if this one's gate is passed"
    )
    parser.add_argument(
        "--share", type=float, metavar="X",
        help="with --to: this share of the runs (0 is the shadow) whatever was shown; name --by and --reason",
    )  # fmt: skip
    parser.add_argument(
        "--parts", default="", metavar="PART=NAME,...",
        help="with --to: what it is made of (model, prompt, tools, code, memory); alarms name what changed",
    )  # fmt: skip
    parser.add_argument("--by", default="", metavar="NAME", help="who decides; default: your login")
    parser.add_argument("--reason", default="", help="goes into the record, for good")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream.detect import granting
    from stream.people import rollout
    from stream.people.registration import publish

    if options.share is not None and not (options.to and options.by and options.reason):
        raise ConfigError("--share passes no gate: name the bundle (--to), --by and --reason")
    if options.parts and not options.to:
        raise ConfigError("--parts belongs to a bundle: name it (--to)")
    made = parts(options.parts) if options.parts else None
    held = keys.load(settings.keys_folder)
    name = "/".join(agent_of(options.agent))
    agent = asyncio.run(rollout.current(settings, held, *agent_of(options.agent)))
    if options.next:
        wanted = _next(agent, settings)
    elif options.share is not None:
        wanted = Wanted(options.to, options.share, "no gate was asked", [])
    else:
        wanted = _first(agent, options.to)
    told = {"agent": name, "bundle": wanted.bundle, "shown": wanted.shown}
    if wanted.lacking:
        out.record(
            told | {"granted": False, "lacking": wanted.lacking, "version": agent.version},
            f"NOT WIDENED: {name} lacks for {granting.bundle(wanted.bundle, wanted.share)}:"
            f" {'; '.join(wanted.lacking)} (so far: {wanted.shown})",
        )
        return NO
    what = granting.bundle(wanted.bundle, wanted.share)
    by, at = options.by or getpass.getuser(), granting.written(now_us() / 1e6)
    grant = Grant(what, by, options.reason, at, wanted.shown)
    new = granting.noted(rollout.rolled_out(agent, wanted.bundle, wanted.share, made), grant)
    asyncio.run(publish(settings, held, [new], decided=True))
    more = {"granted": True, "lacking": [], "version": new.version, "share": wanted.share}
    out.record(
        told | more,
        f"{name} version {new.version}: {what} ({wanted.shown}); `tracefuse rollback {name}` takes it back",
    )
    return OK


def parts(text: str) -> dict[Part, str]:
    """What a bundle is made of, as it is typed.

    Raises
    ------
    ConfigError
        To the operator: an unknown part, or none of the form.

    Examples
    --------
    >>> parts("model=m2,prompt=p7")
    {'model': 'm2', 'prompt': 'p7'}
    """
    told = dict(one.strip().partition("=")[::2] for one in text.split(","))
    try:
        return msgspec.convert(told, dict[Part, Name])
    except msgspec.ValidationError as error:
        raise ConfigError(f"--parts {text}: {error}; write model=NAME,prompt=NAME") from error


def _first(agent: AgentFile, bundle: str) -> Wanted:
    """Where a roll-out begins."""
    from stream.people import rollout

    on, stable = rollout.under_way(agent), agent.bundles.get("stable")
    if on is not None:
        raise ConfigError(
            f"{on.bundle} is being rolled out (share {on.share:g}): `--next` goes on, `tracefuse rollback`"
            " takes it back"
        )
    if stable is not None and stable.hash == bundle:
        raise ConfigError(f"every run gets {bundle} already")
    return Wanted(bundle, rollout.stages(agent)[0].share, "the first stage", [])


def _next(agent: AgentFile, settings: Settings) -> Wanted:
    """Where it goes on, and what this stage's gate still misses."""
    from dashboards.clickhouse import client
    from dashboards.shown import shown
    from stream.people import rollout
    from stream.people.proving import lacking

    on = rollout.under_way(agent)
    if on is None:
        raise ConfigError("nothing is being rolled out: name a bundle (--to)")
    began = rollout.began(agent, on)
    if began is None:
        raise ConfigError(
            f"no grant tells since when {on.bundle} has its share: begin it again with"
            f" --to {on.bundle} --share {on.share:g} --by … --reason …"
        )
    with client(settings) as connected:
        proof = shown(
            connected, agent.tenant, agent.agent, bundle=on.bundle, since=began,
            measured=agent.metrics_only,
        )  # fmt: skip
    share = rollout.following(agent, on.share).share
    return Wanted(on.bundle, share, str(proof), lacking(rollout.gate(agent, on.share), proof))
