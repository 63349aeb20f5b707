"""`tracefuse cosign FILE`: what somebody asks a second person to sign; with `--sign` it is done."""

import argparse
import asyncio
from pathlib import Path

from dashboards.output import Output, clock
from ingest import keys
from ingest.settings import Settings

WORDS = {"forced_open": "STOPPED", "half_open": "released"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the request that `kill` or `release` has written")
    parser.add_argument(
        "--sign", action="store_true", help="sign it with the key `second`, and carry it out"
    )


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream.people import requests

    request = requests.read(options.file)
    wanted = request.command
    first = request.orders[0].kid
    if not options.sign:
        out.record(
            {
                "scope": wanted.scope, "state": wanted.state, "reason": wanted.reason.text,
                "by": first, "issued_at": wanted.issued_at, "signed": False,
            },
            f"{first} asks, at {clock(wanted.issued_at)} UTC: {wanted.scope} is to be"
            f" {WORDS[wanted.state]}, because: {wanted.reason.text}."
            f" Nothing is changed yet; `tracefuse cosign {options.file} --sign` does it",
        )  # fmt: skip
        return 0
    held = keys.load(settings.keys_folder)
    signed = requests.cosign(request, held)
    asyncio.run(requests.carry_out(settings, held, signed))
    second = signed.orders[0].kid2
    out.record(
        {
            "scope": wanted.scope, "state": wanted.state, "cmd_id": wanted.cmd_id,
            "by": [first, second],
        },
        f"{wanted.scope} is {WORDS[wanted.state]} ({wanted.cmd_id}), by {first} and {second}",
    )  # fmt: skip
    return 0
