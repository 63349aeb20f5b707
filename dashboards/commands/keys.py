"""`tracefuse keys`: make them, issue an agent's credential, and turn a signing key over without a gap."""

import argparse
import os
from pathlib import Path

from dashboards.naming import agent_of
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse import credentials, honeytokens
from tracefuse.errors import ConfigError

# Who has to learn of a new key before it signs; who signs learns of it when it starts.
READERS = {
    "auto": "issue the agents' credentials again, restart the agents",
    "human": "issue the agents' credentials again, restart agents, workers and correlate",
    "second": "issue the agents' credentials again, restart the agents, restart correlate",
    "registry": "issue the agents' credentials again, restart the workers",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", choices=("create", "rotate", "use", "honeytoken"),
        help="create: what is missing, or an agent's credential; rotate: the next generation of a signing"
        " key, which is accepted and does not sign yet; use: from now on it signs; honeytoken: a value for"
        " a record that no work asks for, so that an agent which carries it into a call is stopped",
    )  # fmt: skip
    parser.add_argument(
        "name", nargs="?", default="",
        help=f"create: TENANT/AGENT, to issue its credential; rotate, use: {', '.join(keys.AUTHORS)};"
        " honeytoken: TENANT",
    )  # fmt: skip
    parser.add_argument("--out", default="", help="create: file of the credential")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    folder = settings.keys_folder
    if options.what == "create":
        held = keys.create(folder)
        return _issue(held, options, out) if options.name else _list(held, folder, out)
    if options.what == "honeytoken":
        return _honeytoken(keys.load(folder), options.name or "default", out)
    if options.name not in keys.AUTHORS:
        raise ConfigError(f"key {options.name!r}: give one of {', '.join(keys.AUTHORS)}")
    if options.what == "rotate":
        kid = keys.rotate(folder, options.name)
        out.record(
            {"kid": kid, "signs": False},
            f"{kid} is accepted from now on. Next: {READERS[options.name]};"
            f" then `tracefuse keys use {options.name}`",
        )
        return 0
    kid = keys.use(folder, options.name)
    before = int(kid.rpartition("/")[2]) - 1
    restart = "; restart the workers" if options.name == "auto" else ""
    out.record(
        {"kid": kid, "signs": True},
        f"{kid} signs from now on{restart}. What {keys.kid_of(options.name, before)} signed is"
        f" accepted until somebody removes {options.name}.{before}.pub",
    )
    return 0


def _issue(held: keys.Keys, options: argparse.Namespace, out: Output) -> int:
    tenant, agent = agent_of(options.name)
    path = Path(options.out or f"{tenant}.{agent}.credential.json")
    credentials.save(held.credential(tenant, agent), path)
    out.record(
        {"agent": f"{tenant}/{agent}", "file": str(path)},
        f"{path}: the agent's process reads it, TRACEFUSE_CREDENTIAL names it",
    )
    return 0


def _honeytoken(held: keys.Keys, tenant: str, out: Output) -> int:
    """Any agent's credential has the tenant's key; nothing is kept of the token."""
    key = held.credential(tenant, "-").hash_key
    made = honeytokens.token(key, os.urandom(honeytokens.BYTES))
    out.record({"tenant": tenant, "honeytoken": made}, made)
    return 0


def _list(held: keys.Keys, folder: Path, out: Output) -> int:
    rows = [
        {
            "kid": kid,
            "signs": "yes" if kid in held.signing else "no",
            "name": credentials.fingerprint(raw),
        }
        for kid, raw in sorted(held.command_keys.items())
    ]
    out.table(rows, ("kid", "signs", "name"), f"no keys in {folder}")
    return 0
