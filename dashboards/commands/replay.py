"""`tracefuse replay`: decisions computed again from what is stored. Writes nothing to Kafka.

`--verify` compares them with what was published, byte for byte. Exit codes: 0 the same · 1 a difference, or
nothing to compare · 2 decided by another build.

`--since WHEN --policy FILE` asks what another version of an agent's file would have decided. Exit codes:
0 no difference · 1 something would appear, vanish or change · 2 the file is wrong, or nothing is stored of
that time · 3 Kafka does not answer.
"""

import argparse
import asyncio
from pathlib import Path

from dashboards.naming import moment
from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse.clock import now_us
from tracefuse.errors import ConfigError

SHOWN_MAX = 200  # differences told in words; JSON has more


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--verify", action="store_true", help="compare with what was published")
    what.add_argument("--save-base", type=Path, metavar="FILE", help="save where to begin from")
    what.add_argument(
        "--policy", type=Path, metavar="FILE",
        help="an agent's file: what would it have stopped, told, allowed or denied otherwise?",
    )  # fmt: skip
    parser.add_argument("--base", type=Path, metavar="FILE", help="begin from a saved base")
    parser.add_argument(
        "--since", default="", metavar="WHEN",
        help="with --policy: 2h, 7d, or a time of day or date in ISO 8601 (UTC)",
    )  # fmt: skip


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream.replay import replay

    if bool(options.policy) != bool(options.since):
        raise ConfigError("--since and --policy belong together")
    if options.policy:
        return _what_if(options, settings, out)
    held = keys.load(settings.keys_folder)
    if options.save_base:
        saved = asyncio.run(replay.save_base(settings, held, options.save_base))
        out.record({"partitions": saved}, f"saved {saved} partitions to {options.save_base}")
        return 0
    report = asyncio.run(replay.verify(settings, held, options.base))
    if out.as_json:
        counts = {"compared": dict(report.compared), "different": dict(report.different)}
        builds = sorted(report.other_builds)
        out.record({"exit_code": report.exit_code, **counts, "other_builds": builds}, "")
    for line in replay.words(report).splitlines():
        out.say(line)
    return report.exit_code


def _what_if(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from ingest import registry
    from stream.replay import history, whatif_words

    since, file = moment(options.since, now_us() / 1e6), registry.read(options.policy)
    held = keys.load(settings.keys_folder)
    played = asyncio.run(history.what_if(settings, held, file, since, options.base))
    found = played.differences
    if out.as_json:
        counted = {f"{kind} {how}": n for (kind, how), n in sorted(found.counted.items())}
        out.record(
            {"agent": f"{file.tenant}/{file.agent}", "version_then": played.version,
             "version": file.version, "since": since, "begins": played.begins, "cut": played.cut,
             "records": found.records, "runs": len(found.runs), "counted": counted,
             "unmade": dict(found.unmade), "changes": [one._asdict() for one in found.changes],
             "annotations": {name: n for name, n in sorted(found.annotations.items()) if n}},
            "",
        )  # fmt: skip
    then = "no file" if played.version is None else f"version {played.version}"
    out.say(f"{file.tenant}/{file.agent}: {options.policy} instead of {then}")
    if played.cut:
        out.say("older records are gone: the detectors began without a past")
    for line in whatif_words.words(found, SHOWN_MAX):
        out.say(line)
    return 1 if found.any else 0
