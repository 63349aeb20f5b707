"""`tracefuse review CALL`: say of an allowed call whether it was right to allow it; signed and on record."""

import argparse
import asyncio
import getpass
from typing import TYPE_CHECKING

from dashboards.output import Output
from ingest import keys
from ingest.settings import Settings
from tracefuse.errors import TracefuseError

if TYPE_CHECKING:
    from ingest.records import Sampled

CALL = """
SELECT
    tenant, agent_id, trace_id, call_id, tool, args_hash, user_id, toFloat64(sampled_at) AS at
FROM reviews
WHERE call_id = {call:String} OR concat(trace_id, '/', call_id) = {call:String}
LIMIT 2
"""


class NoSuchReview(TracefuseError):
    """No call, or more than one, was put aside under this id. To the person at the keyboard."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("call", metavar="CALL", help="as `tracefuse reviews list` shows it")
    parser.add_argument(
        "--label", choices=("right", "wrong"), required=True, help="was it right to allow it?"
    )
    parser.add_argument("--by", default="", metavar="NAME", help="who judges; default: your login")
    parser.add_argument("--note", default="", help="goes into the record, for good")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from stream.people import reviews

    held = keys.load(settings.keys_folder)
    call = _call(settings, options.call)
    by = options.by or getpass.getuser()
    label = asyncio.run(reviews.judge(settings, held, call, options.label, by, options.note))
    out.record(
        {"call_id": label.call_id, "label": label.label, "by": label.by},
        f"{label.call_id}: that {label.tool} was allowed is {label.label}, says {label.by}",
    )
    return 0


def _call(settings: Settings, name: str) -> "Sampled":
    """The call that a person means. Raises `NoSuchReview`."""
    from dashboards.clickhouse import client
    from ingest.records import Sampled

    with client(settings) as connected:
        found = list(connected.query(CALL, parameters={"call": name}).named_results())
    if not found:
        raise NoSuchReview(f"{name}: no allowed call was put aside under this id")
    if len(found) > 1:
        raise NoSuchReview(f"{name}: several calls have this id; name one as TRACE/CALL")
    return Sampled(**found[0])
