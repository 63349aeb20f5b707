"""`tracefuse undo TRACE`: what an agent changed, what takes it back, and what can't be taken back.

Exit codes beside the usual ones: 4 where something of it stays.
"""

import argparse
import asyncio
import getpass
import re
from typing import TYPE_CHECKING, Any

from dashboards.naming import agent_of
from dashboards.output import Output, clock
from ingest import keys
from ingest.settings import Settings
from tracefuse.errors import ConfigError

if TYPE_CHECKING:
    from dashboards.undo_facts import Run
    from dashboards.undo_run import Report
    from stream.people.undo_record import Standing
    from stream.people.undoing import Change, Plan, State

OK, NO, PARTLY = 0, 1, 4
COLUMNS = ("at", "tool", "call_id", "arguments", "state", "undo", "word", "reason")
STATES = {True: "changed", False: "same", None: ""}
# What is said of a call that earlier attempts have touched.
TRIED = {
    "undone": "taken back already",
    "failed": "its undo failed: look whether it was taken back, then add --again",
    "open": "its undo was begun and has not ended: look whether it was taken back, then add --again",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="32 hex digits")
    parser.add_argument(
        "--agent", default="", help="TENANT/AGENT, where several acted in the trace"
    )
    parser.add_argument("--run", action="store_true", help="take back what can be taken back")
    parser.add_argument("--plan", default="", metavar="DIGEST", help="the plan that you agree to")
    parser.add_argument(
        "--hooks", default="", metavar="PACKAGE.MODULE",
        help="where `HOOKS` is: by undo tool, the function that does it",
    )  # fmt: skip
    parser.add_argument("--by", default="", metavar="NAME", help="who agrees; default: your login")
    parser.add_argument("--reason", default="", help="goes into the record, for good")
    parser.add_argument(
        "--again", action="append", default=[], metavar="CALL",
        help="a call whose undo failed or was cut short, and that was looked at: try it once more",
    )  # fmt: skip


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    from dashboards import undo_run
    from dashboards.clickhouse import client
    from dashboards.undo_facts import attempts, run_facts
    from stream.people import rollout, undoing

    _usable(options)
    held = keys.load(settings.keys_folder)
    hooks = undo_run.load(options.hooks) if options.run else {}
    with client(settings) as connected:
        agent = agent_of(options.agent) if options.agent else None
        found = run_facts(connected, options.trace, agent)
        file = asyncio.run(rollout.current(settings, held, found.tenant, found.agent_id))
        plan = undoing.plan(found.tenant, found.agent_id, found.trace_id, found.done, file)
        known = attempts(connected, found, held.verifier())
        if not options.run:
            return _list(plan, found, known, out)
        attempt = undo_run.Undo(settings, held, connected, found, plan, file)
        word = undo_run.Word(options.plan, options.by or getpass.getuser(), options.reason)
        report = attempt.carry_out(word, known, hooks, tuple(options.again))
        return _tell(plan, report, attempts(connected, found, held.verifier()), out)


def _usable(options: argparse.Namespace) -> None:
    """Raises `ConfigError` to the person: wrong usage."""
    if not re.fullmatch("[0-9a-f]{32}", options.trace):
        raise ConfigError(f"trace {options.trace!r}: give 32 hex digits")
    if options.run:
        for name, why in (
            ("plan", "read the plan first, and name its digest"),
            ("hooks", "name the module with the functions that undo"),
            ("reason", "say why; it goes into the record"),
        ):
            if not getattr(options, name):
                raise ConfigError(f"--run needs --{name}: {why}")


def _list(plan: "Plan", found: "Run", known: "Standing", out: Output) -> int:
    """Show the plan; nothing is changed."""
    rows = [_row(change, known) for change in plan.changes]
    code = PARTLY if _stays(rows) else OK
    if out.as_json:
        whose = {"tenant": plan.tenant, "agent_id": plan.agent_id, "trace_id": plan.trace_id}
        more = {"ended": found.ended, "plan": plan.digest, "changes": rows}
        out.record({**whose, **more}, "")
        return code
    shown = [
        {**row, "at": clock(row["at"]), "arguments": row["decision_args"] or ""} for row in rows
    ]
    out.table(shown, COLUMNS, f"{plan.tenant}/{plan.agent_id} changed nothing in {plan.trace_id}")
    if not found.ended:
        scope = f"run:{plan.tenant}/{plan.agent_id}/{plan.trace_id}"
        out.say(f"THE RUN HAS NOT ENDED: it may change more. `tracefuse kill {scope}` stops it")
    if any(row["word"] == "can" for row in rows):
        out.say(
            f"Nothing is changed yet; `tracefuse undo {plan.trace_id} --run --plan {plan.digest}"
            " --hooks PACKAGE.MODULE --reason …` takes back what can be, the newest first"
        )
    return code


def _tell(plan: "Plan", report: "Report", known: "Standing", out: Output) -> int:
    """Say what was done."""
    rows = [_row(change, known) for change in plan.changes]
    ids = {
        "undone": [change.done.call_id for change in report.undone],
        "untouched": [change.done.call_id for change in report.untouched],
        "stays": [row["call_id"] for row in _stays(rows)],
    }
    at = report.at.done.call_id if report.at is not None else ""
    lines = [
        f"{one.done.call_id}  {one.done.tool}: taken back by {one.undo}" for one in report.undone
    ]
    if report.at is not None:
        lines.append(f"{at}  {report.at.done.tool}: {report.at.undo} {report.stopped}")
    lines += [f"{one.done.call_id}  {one.done.tool}: not begun" for one in report.untouched]
    for line in lines or ["nothing is left to take back"]:
        out.say(line)
    for row in _stays(rows):
        if row["call_id"] != at:
            out.say(f"{row['call_id']}  {row['tool']}: stays ({row['reason']})")
    if not report.recorded:
        out.say("ClickHouse does not show the end of it yet: wait before you undo anything again")
    if out.as_json:
        told = {"plan": plan.digest, "run": report.run, "recorded": report.recorded}
        out.record({**told, **ids, "stopped": report.stopped, "at": at}, "")
    if report.stopped:
        return NO
    return PARTLY if ids["stays"] else OK


def _row(change: "Change", known: "Standing") -> dict[str, Any]:
    """One change as people and programs read it."""
    done, word, reason = change.done, str(change.word), change.reason
    tried = known.outcomes.get(done.call_id)
    if tried is not None:
        word, reason = tried, TRIED[tried]
    return {
        "at": done.at, "tool": done.tool, "call_id": done.call_id, "status": done.status,
        "decision_args": done.decision_args, "state": STATES[done.differs],
        "before": _state(done.before), "after": _state(done.after), "undo": change.undo,
        "word": word, "reason": reason,
    }  # fmt: skip


def _state(state: "State | None") -> dict[str, str] | None:
    return None if state is None else {"hash": state.hash, "content": state.content}


def _stays(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is not taken back, and won't be by itself."""
    return [row for row in rows if row["word"] in ("cannot", "failed", "open")]
