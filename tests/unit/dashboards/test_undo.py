"""`tracefuse undo` as far as it needs no service: usage, hooks, and what it says."""

import json
import sys
import types
from pathlib import Path

import pytest

from dashboards import cli, undo_run
from dashboards.commands import undo
from dashboards.output import Output
from dashboards.undo_facts import Run
from dashboards.undo_run import Report
from ingest.agent_file import AgentFile, Tool
from stream.people.undo_record import Outcome, Standing
from stream.people.undoing import Done, Plan, State, plan
from tracefuse.errors import ConfigError

TRACE = "a" * 32
FILE = AgentFile(
    "refunds",
    tools={
        "crm.refund": Tool(access="write", undo="crm.unrefund"),
        "crm.unrefund": Tool(access="write"),
        "mail.send": Tool(access="irreversible"),
    },
)


def listed(
    *done: Done, ended: bool = True, outcomes: dict[str, Outcome] | None = None
) -> tuple[Plan, Run, Standing]:
    run = Run("acme", "refunds", TRACE, "dev", "", ended, done)
    known = outcomes or {}
    return plan("acme", "refunds", TRACE, done, FILE), run, Standing(known, len(known))


def refund(call_id: str = "c1") -> Done:
    return Done(
        call_id=call_id, tool="crm.refund", decision_args={"order": 9}, before=State("x"),
        after=State("y"),
    )  # fmt: skip


MAIL = Done(call_id="c2", tool="mail.send")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["xyz"], "32 hex digits"),
        ([TRACE, "--run"], "--run needs --plan"),
        ([TRACE, "--run", "--plan", "d"], "--run needs --hooks"),
        ([TRACE, "--run", "--plan", "d", "--hooks", "h"], "--run needs --reason"),
    ],
)
def test_what_a_run_needs_is_asked_for(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the plan's digest, the hooks and a reason nothing begins, and no service is asked."""
    assert cli.main(["undo", *words]) == cli.USAGE
    assert said in capsys.readouterr().err


def test_hooks_are_plain_functions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A coroutine would count as done before it began; what is missing or broken is named."""

    async def later(call: undo_run.TakeBack) -> None:
        pass

    def install(**content: object) -> None:
        module = types.ModuleType("their_hooks")
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, "their_hooks", module)

    install(HOOKS={"crm.unrefund": print})
    assert undo_run.load("their_hooks") == {"crm.unrefund": print}
    for content in ({}, {"HOOKS": [print]}, {"HOOKS": {"a": later}}, {"HOOKS": {"a": 1}}):
        install(**content)
        with pytest.raises(ConfigError, match="hooks their_hooks"):
            undo_run.load("their_hooks")
    (tmp_path / "broken_hooks.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("broken_hooks", "no_such_hooks"):
        with pytest.raises(ConfigError, match="PYTHONPATH"):
            undo_run.load(name)


@pytest.mark.parametrize(
    ("done", "outcomes", "code"),
    [
        ([], {}, undo.OK),
        ([refund()], {}, undo.OK),
        ([refund()], {"c1": "undone"}, undo.OK),
        ([refund()], {"c1": "failed"}, undo.PARTLY),
        ([refund()], {"c1": "open"}, undo.PARTLY),
        ([refund(), MAIL], {}, undo.PARTLY),
        ([Done(call_id="c1", tool="crm.refund", status="not_run")], {}, undo.OK),
    ],
)
def test_the_exit_code_says_whether_something_stays(
    done: list[Done], outcomes: dict[str, Outcome], code: int
) -> None:
    """What was taken back, or left nothing, does not stay; what is unknown does."""
    assert undo._list(*listed(*done, outcomes=outcomes), Output(as_json=True)) == code


def test_a_plan_is_shown_with_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments, states, the undo or the reason, and the command that carries it out."""
    what, run, known = listed(refund(), MAIL, ended=False)
    undo._list(what, run, known, Output())
    lines = capsys.readouterr().out.splitlines()

    assert "cannot" in lines[1]
    assert "irreversible, and no undo is declared" in lines[1]
    for word in ("crm.refund", "{'order': 9}", "changed", "crm.unrefund", "can"):
        assert word in lines[2]
    assert f"kill run:acme/refunds/{TRACE}" in lines[3]
    assert f"--run --plan {what.digest}" in lines[4]


def test_what_was_done_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Taken back, refused or failed with its reason, not begun, and what stays: each call once."""
    what, _, _ = listed(refund("c1"), MAIL, refund("c3"), refund("c4"))
    four, three, _, one = what.changes
    report = Report("r", undone=[four], stopped="failed: KeyError: 9", at=three, untouched=[one])
    known = Standing({"c4": "undone", "c3": "failed"}, 1)

    assert undo._tell(what, report, known, Output()) == undo.NO
    assert capsys.readouterr().out.splitlines() == [
        "c4  crm.refund: taken back by crm.unrefund",
        "c3  crm.refund: crm.unrefund failed: KeyError: 9",
        "c1  crm.refund: not begun",
        "c2  mail.send: stays (irreversible, and no undo is declared)",
    ]
    assert undo._tell(what, report, known, Output(as_json=True)) == undo.NO
    assert json.loads(capsys.readouterr().out)["untouched"] == ["c1"]
