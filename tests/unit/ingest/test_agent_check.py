"""Checking agents' files: each kind of mistake is named with its line, and all of a file at once."""

from pathlib import Path

import pytest

from ingest.agent_check import REQUIRED_MAX, BadFile, parse, sense, spelt
from ingest.agent_file import AgentFile, Approval, Stage, Tool
from ingest.registry import load
from ingest.toml_lines import line_of, lines
from tracefuse.errors import ConfigError

WHOLE = """
agent = "refunds"
tenant = "acme"
version = 3
environment = "prod"
environments = ["staging", "prod"]
purpose = "Pays back orders."
allowed_use = ["refunds within 30 days"]
prohibited_use = ["refunds above 1,000"]
success_criteria = ["95 % of refunds stand after review"]
decision_authority = "up to 100 per order"
data_scope = ["orders of the tenant"]
escalation = ["payments on-call"]
review_by = 2027-06-30
autonomy = 3
held = ["irreversible"]
without_verdict = "allow"
concurrency = 4
retries = 2
depth = 3
timeout_s = 30
data_classes = ["internal"]
users = ["u-*"]
tasks = ["refund"]

run_timeout_s = 600
metrics_only = ["latency"]
review_share = 0.01

[owner]
name = "Payments"
routes = ["alertmanager"]

[gates.prod]
runs = 200
success = 0.95
days = 14
approvers = ["head of payments"]

[tools."crm.refund"]
access = "irreversible"
latency_ms = 800
version = "2"
descriptor = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
undo = "crm.unrefund"
requires = ["crm.find"]
decision_args = ["amount"]
max_usd = 0.1
max_tokens = 1000
timeout_s = 10
result = { type = "object", required = ["id"] }

[tools."crm.unrefund"]
access = "write"

[tools."crm.find"]

[limits.irreversible]
per_minute = 5
per_day = 100

[budgets]
call_usd = 0.2
run_usd = 1.5
hour_usd = 10
day_usd = 50
call_tokens = 2000
run_tokens = 50000
hour_tokens = 500000
day_tokens = 5000000

[[approvals]]
name = "large"
when = "args.amount > 100"
approvers = ["head of payments"]
expires_s = 600

[fallbacks]
output = "A person will answer you."
"crm.refund" = "The refund waits."

[bundles.stable]
hash = "b1"
[bundles.canary]
hash = "b2"
share = 0.05

[signals]
exact_loop = "ask"

[[rollout]]
share = 0.25
runs = 100
success = 0.95
[[rollout]]
share = 1

[[grants]]
what = "environment prod"
by = "head of payments"
reason = "two quiet weeks"
at = "2026-11-01T10:00:00Z"
shown = "120 runs, 99 % well"
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(BadFile) as caught:
        parse(text, "refunds.toml")
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_file_with_everything_is_read() -> None:
    """Every field of the catalogue, as an owner would write it."""
    agent = parse(WHOLE)

    assert agent.review_by == "2027-06-30"
    assert agent.granted == ("staging", "prod")
    assert agent.tools["crm.refund"].result == {"type": "object", "required": ["id"]}
    assert (agent.timeout("crm.refund"), agent.timeout("crm.unrefund")) == (10, 30)
    assert agent.approvals == (Approval("large", "args.amount > 100", ("head of payments",), 600),)
    assert [name for name in agent.__struct_fields__ if not hasattr(agent, name)] == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        # A kind of mistake each: broken TOML,
        ('agent = "a"\nowner name', 2, "Expected '='"),
        ('agent = "a"\nagent = "b"', 2, "Cannot overwrite"),
        ('agent = "a"\n\ntenant = ', 3, "Invalid value"),
        # keys,
        ('agent = "a"\n\nautonomie = 2', 3, "autonomie: unknown key, did you mean `autonomy`?"),
        ('agent = "a"\n[tools.t]\nxyz = 1', 3, "tools.t.xyz: unknown key"),
        ('tenant = "a"', 1, "`agent` is missing"),
        ('agent = "a"\n[[approvals]]\nname = "x"\napprovers = ["y"]', 2, "approvals[0]: `when` is missing"),
        # types, bounds and names,
        ('agent = "a"\n[budgets]\nday_usd = "5"', 3, "budgets.day_usd: Expected `float`"),
        ('agent = "a"\nautonomy = 4', 2, "autonomy: must be from 0 to 3, not 4"),
        ('agent = "a"\ntools = 3', 2, "tools: Expected `object`"),
        ('agent = "a"\n[tools]\nt = 3', 3, "tools.t: must be a table, not int"),
        ('agent = "a"\n[limits.admin]\nper_day = 1', 2, "limits.admin: 'admin' is none of read"),
        ('agent = "a"\nheld = [\n  "reads"\n]', 2, "held[0]: 'reads' is none of"),
        ('agent = "a"\n[tools."a.b"]\ndescriptor = "x"', 3, 'tools."a.b".descriptor: Expected'),
        # sense.
        ('agent = "a"\nreview_by = "2026-02-30"', 2, "review_by: '2026-02-30' is no day"),
        ('agent = "a"\nenvironments = ["prod"]\nenvironment = "dev"', 3, "'dev' is not among"),
        ('agent = "a"\n[tools.t]\nundo = "u"', 3, "tools.t.undo: no tool 'u' is listed"),
        (
            'agent = "a"\n[tools.t]\nrequires = [\n  "u",\n]',
            3, "tools.t.requires[0]: no tool 'u' is listed",
        ),
        (
            'agent = "a"\n[tools.t]\nrequires = ["t"]',
            3, "tools.t.requires[0]: 't' waits for 't' itself: neither could ever be called",
        ),
        ('agent = "a"\n[tools.t]\nrequires = "u"', 3, "tools.t.requires: Expected `array`"),
        ('agent = "a"\n[fallbacks]\nt = "x"', 3, "fallbacks.t: neither `output` nor a tool"),
        ('agent = "a"\n[budgets]\nhour_usd = 2\nday_usd = 1', 3, "2 is more than day_usd allows (1)"),
        (
            'agent = "a"\n[tools.t]\nmax_usd = 3\n[budgets]\ncall_usd = 2',
            3, "tools.t.max_usd: no call may use more than 2",
        ),
        ('agent = "a"\n[bundles.canary]\nhash = "x"', 2, "need a `stable` bundle"),
        (
            'agent = "a"\n[bundles]\nstable = {hash = "x", share = 0.9}\n'
            'canary = {hash = "y", share = 0.2}',
            4, "more than all runs",
        ),
    ],
)  # fmt: skip
def test_each_kind_of_mistake_names_file_and_line(text: str, line: int, words: str) -> None:
    """One mistake, one line, and words that say what to do."""
    [said] = mistakes(text)

    assert said.startswith(f"refunds.toml: line {line}: ")
    assert words in said


def test_steps_that_wait_for_each_other_are_named() -> None:
    """Round any number of corners: each of them, for any could be the mistake."""
    text = "".join(f'[tools.{a}]\nrequires = ["{b}"]\n' for a, b in ("ab", "bc", "ca"))

    assert [said.split(":")[1] for said in mistakes('agent = "x"\n' + text)] == [
        " line 3", " line 5", " line 7",
    ]  # fmt: skip


def test_more_required_tools_than_a_run_remembers_are_refused() -> None:
    """What is declared is never forgotten, so there may not be too much of it."""
    names = [f"t{n}" for n in range(REQUIRED_MAX + 1)]
    tools = {name: Tool() for name in names}

    assert not sense(AgentFile("a", tools=tools | {"x": Tool(requires=tuple(names[1:]))}))
    assert [
        path for path, _ in sense(AgentFile("a", tools=tools | {"x": Tool(requires=tuple(names))}))
    ] == [("tools",)]


def test_a_run_may_be_capped_above_a_day() -> None:
    """As files did before there were budgets of an hour or a call; the lower cap holds."""
    assert parse('agent = "a"\n[budgets]\nrun_usd = 100\nday_usd = 40').budgets.run_usd == 100


def rules(*more: str) -> str:
    text = 'agent = "a"\n[tools.t]\ndecision_args = ["amount"]\n'
    for when in more:
        text += f"[[approvals]]\nname = 'r'\nwhen = '''\n{when}'''\napprovers = ['Ann']\n"
    return text


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("args.amount >", "rule: character 14: Syntax error"),
        ("amount > 1", "undeclared reference to 'amount'"),
        ("args.amuont > 1", "no tool has 'amuont' in its `decision_args`"),
        ("args.amount", ""),
        ("context.note == 'args.none'", ""),
    ],
)
def test_rules_are_compiled_when_they_are_checked(when: str, words: str) -> None:
    """Not by the worker that first asks one; and what it reads must be declared."""
    if not words:
        assert parse(rules(when)).approvals[0].when == when
        return
    [said] = mistakes(rules(when))

    assert said.startswith("refunds.toml: line 6: approvals[0].when: ")
    assert words in said


def test_rules_have_names_of_their_own_and_somebody_who_decides() -> None:
    """Two of one name could not be told apart in the record."""
    twice = rules("args.amount > 1", "args.amount > 2").replace("['Ann']", "[]")

    assert mistakes(twice) == [
        "refunds.toml: line 8: approvals[0].approvers: nobody could approve",
        "refunds.toml: line 10: approvals[1].name: there is another rule 'r'",
        "refunds.toml: line 13: approvals[1].approvers: nobody could approve",
    ]


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0, 0.05, 1), []),
        ((1,), []),
        ((0.05, 0.05, 1), ["line 5: rollout[1].share: 0.05 is not more than 0.05 before it"]),
        ((0.05, 0, 1), ["line 5: rollout[1].share: 0 is not more than 0.05 before it"]),
        ((0, 0, 1), ["line 5: rollout[1].share: there is another shadow stage (share 0)"]),
        ((0, 0.25), ["line 5: rollout[1].share: the last stage has 0.25 of the runs, not 1"]),
        (
            (1, 0.5),
            [
                "line 5: rollout[1].share: 0.5 is not more than 1 before it",
                "line 5: rollout[1].share: the last stage has 0.5 of the runs, not 1",
            ],
        ),
    ],
)
def test_stages_rise_to_all(shares: tuple[float, ...], said: list[str]) -> None:
    """Each wider than the one before, a shadow only first, everybody last; a file may declare none."""
    agent = AgentFile("a", rollout=tuple(Stage(share) for share in shares))
    text = 'agent = "a"\n' + "".join(f"[[rollout]]\nshare = {share}\n" for share in shares)
    if not said:
        assert parse(text) == agent
        return

    assert mistakes(text) == [f"refunds.toml: {one}" for one in said]
    assert len(sense(agent)) == len(said)


def test_a_gate_asks_something_that_can_be_shown() -> None:
    """Nothing comes before dev; a gate that asks nothing would let everybody through."""
    assert mistakes('agent = "a"\n[gates.dev]\nruns = 3\n[gates.prod]\nruns = 0\n') == [
        "refunds.toml: line 2: gates.dev: no environment comes before dev: nothing can be shown",
        "refunds.toml: line 4: gates.prod: asks nothing: name runs, success, days or approvers",
    ]


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    """Shape and sense; but not what may only follow from another mistake."""
    wrong = WHOLE.replace("retries = 2", "retrys = 2").replace("share = 0.05", "share = 5")
    wrong = wrong.replace("hour_usd = 10", "hour_usd = 60").replace("2027-06-30", '"2027-02-29"')

    assert mistakes(wrong) == [
        "refunds.toml: line 14: review_by: '2027-02-29' is no day of the calendar",
        "refunds.toml: line 19: retrys: unknown key, did you mean `retries`?",
        "refunds.toml: line 65: budgets.hour_usd: 60 is more than day_usd allows (50)",
        "refunds.toml: line 86: bundles.canary.share: must be from 0 to 1, not 5",
    ]


def test_a_folder_tells_the_mistakes_of_all_its_files(tmp_path: Path) -> None:
    """An operator mends them in one go."""
    (tmp_path / "a.toml").write_text('agent = "a"\nautonomy = 7')
    (tmp_path / "b.toml").write_text('agnet = "b"')
    (tmp_path / "c.toml").write_text(WHOLE)

    with pytest.raises(BadFile) as caught:
        load(tmp_path)

    assert [(m.file, m.line) for m in caught.value.mistakes] == [
        ("a.toml", 2), ("b.toml", 1), ("b.toml", 1),
    ]  # fmt: skip
    assert isinstance(caught.value, ConfigError)


def test_a_file_too_large_for_a_record_is_refused() -> None:
    """Before anything of it is read."""
    assert "more than 262144 characters" in mistakes("#" * 300_000)[0]
    assert mistakes("a = " + "[" * 100_000) != []


def test_lines_are_found_wherever_something_is_written() -> None:
    """Tables, their arrays, inline ones, dotted keys, values over many lines, Windows' line ends."""
    text = (
        "a = 1\r\n"
        "[t.'x.y']  # [not a table]\r\n"
        'long = """\r\n[no.table]\r\nb = 2\r\n"""\r\n'
        "d.e = { f = [1, { g = 2 }] }\r\n"
        "[[l]]\r\n"
        "[[l]]\r\n"
        "n = [\r\n  1,\r\n]\r\n"
        "[l.sub]\r\n"
        "z = 1"
    )
    found = lines(text)

    assert found["a",] == 1
    assert (found["t",], found["t", "x.y"]) == (2, 2)
    assert found["t", "x.y", "long"] == 3
    assert ("no", "table") not in found
    assert found["t", "x.y", "d", "e", "f", 1, "g"] == 7
    assert (found["l", 0], found["l", 1], found["l", 1, "n", 0]) == (8, 9, 10)
    assert found["l", 1, "sub", "z"] == 14
    assert line_of(found, ("t", "x.y", "none")) == 2
    assert line_of(found, ("nowhere",)) == 1


def test_what_was_published_is_checked_for_its_sense() -> None:
    """A version that came past the command line: its rules must compile in the worker too."""
    agent = parse(WHOLE)
    bad = type(agent)(
        "a", approvals=(Approval("x", "args.", ("Ann",)),), tools={"t": Tool(undo="gone")}
    )

    assert sense(agent) == []
    assert [spelt(path) for path, _ in sense(bad)] == ["tools.t.undo", "approvals[0].when"]
