"""What tools return, through both cores: results without their form, kinds of answers that are new."""

from typing import Any

import pytest

from ingest.records import Fact, Signal, Step
from ingest.topics import INBOX
from stream.agent.agent_state import ToolState
from tests.pipe import AGENT, TENANT, Pipe, Told, found, signals
from tests.unit.stream.test_held_calls import in_force

FITS: dict[str, Any] = {"template": "a" * 16, "form": []}
LACKS: dict[str, Any] = {"template": "a" * 16, "form": ["missing", "total"]}
LOCKED: dict[str, Any] = {
    "status": "error",
    "error_type": "Locked",
    "sketches": {"template": "c" * 16},
}


def calls(
    pipe: Pipe, told: Told, first: int, results: list[dict[str, Any]], name: str
) -> list[Signal]:
    """Calls of one tool, each with these fields of its result, and what a detector says of them."""
    said = []
    for n, result in enumerate(results, first):
        pipe.now += 5.0
        said += signals(pipe.send(*told.call(n, **result)))
    return [one for one in said if one.detector == name]


def completed(pipe: Pipe) -> list[Step]:
    """Each record of a call that has ended, in order."""
    facts: list[Fact] = found(pipe.facts, INBOX, Fact)
    return [fact for fact in facts if isinstance(fact, Step) and fact.phase == "complete"]


def kept(pipe: Pipe) -> ToolState:
    """What detect keeps of the tool."""
    (detect,) = pipe.detects.values()
    agent = detect.partition.get(f"{TENANT}/{AGENT}")
    assert agent is not None
    return agent.tools["crm.find"]


def sketched(*sketches: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"sketches": one} for one in sketches]


def test_results_that_lose_their_form_are_an_alarm() -> None:
    """One a thousand was usual, one in three is not; it names the tool, the field and a hash."""
    pipe = Pipe()
    told = in_force(pipe)
    before = calls(pipe, told, 0, sketched(*[FITS] * 200), "malformed_result")
    said = calls(pipe, told, 200, sketched(*[LACKS, FITS, FITS] * 9), "malformed_result")

    assert before == [] and len(said) == 1
    assert (said[0].action, said[0].severity, said[0].tool) == ("annotate", "medium", "crm.find")
    told_of = said[0].evidence
    assert (told_of["wrong"], told_of["field"], told_of["results"]) == ("missing", "total", 40)
    assert told_of["example"] == f"result-{200 + 3 * (told_of['observed'] - 1)}"
    assert f"{told_of['observed']} of 40 do not have the declared form" in said[0].sentence
    assert "`total` is missing" in said[0].sentence


def test_a_tool_of_which_no_form_is_declared_is_silent() -> None:
    """The healthy twin: without a declaration nothing is malformed, and nothing is kept for it."""
    pipe = Pipe()
    told = in_force(pipe)
    kinds = [{"template": "a" * 16}] * 300

    assert calls(pipe, told, 0, sketched(*kinds), "malformed_result") == []
    assert kept(pipe).results is None


def test_what_was_always_so_is_no_news() -> None:
    """A tool that lacks its form in one answer of three from the first day: its declaration is wrong."""
    pipe = Pipe()
    told = in_force(pipe)

    assert calls(pipe, told, 0, sketched(*[LACKS, FITS, FITS] * 100), "malformed_result") == []


@pytest.mark.parametrize(
    "form",
    ["missing", {"a": 1}, ["missing"], ["burnt", "total"], ["missing", 7], [["missing"], "a"], 3, None],
    ids=str,
)  # fmt: skip
def test_what_no_sdk_sends_is_no_form(form: object) -> None:
    """It is left out; the step is as any other."""
    pipe = Pipe()
    told = in_force(pipe)
    pipe.send(*told.call(1, sketches={"form": form, "template": ["x"]}))

    assert [(step.form, step.template) for step in completed(pipe)] == [(None, "")]


def test_names_of_fields_are_made_harmless() -> None:
    """A tool's server chose them, and people read them in a sentence."""
    pipe = Pipe()
    told = in_force(pipe)
    pipe.send(*told.call(1, sketches={"form": ["missing", "a`] Ignore <b>" + "x" * 9000]}))
    form = completed(pipe)[-1].form

    assert form is not None and form.field.startswith("a?]?Ignore??b?x") and len(form.field) == 200


def test_a_late_note_counts_no_result_twice() -> None:
    """A step that is written again tells its result once."""
    pipe = Pipe()
    told = in_force(pipe)
    asked, answered = told.call(1, sketches=LACKS)
    note = told("thought")
    note.seq, asked.seq, answered.seq = (
        asked.seq,
        answered.seq,
        note.seq,
    )  # it came before, and comes last
    pipe.send(asked, answered, note)
    results = kept(pipe).results

    assert [step.form is not None for step in completed(pipe)] == [True, False]
    assert results is not None and results.n == 1


def test_a_new_kind_of_error_is_noted() -> None:
    """When it comes for the third time; by its hash, beside how many kinds were known."""
    pipe = Pipe()
    told = in_force(pipe)
    before = calls(pipe, told, 0, sketched(*[FITS] * 250), "new_template")
    said = calls(pipe, told, 250, [LOCKED, *sketched(FITS, FITS, FITS)] * 4, "new_template")

    assert before == [] and len(said) == 1
    assert (said[0].action, said[0].severity) == ("annotate", "info")
    assert said[0].evidence["template"] == "c" * 16
    assert "3 times in 9 answers failed (`Locked`) as never before" in said[0].sentence


def test_a_tool_that_always_answers_otherwise_is_silent() -> None:
    """Pages, mails, searches: what is new each time is no news, however often it then comes."""
    pipe = Pipe()
    told = in_force(pipe)
    kinds = [{"template": f"{n:016x}"} for n in range(300) for _ in range(1 + 2 * (n % 10 == 0))]

    assert calls(pipe, told, 0, sketched(*kinds), "new_template") == []


def test_a_spike_of_errors_says_whether_they_are_new() -> None:
    """Errors that the tool never had stand beside its error rate; ones that it had do not."""
    beside = []
    for known in (FITS["template"], "c" * 16):
        pipe = Pipe()
        told = in_force(pipe)
        calls(pipe, told, 0, sketched(FITS, FITS | {"template": known}) * 125, "")
        said = calls(pipe, told, 250, [LOCKED] * 5, "error_rate")
        beside.append([one.evidence.get("new_kind") for one in said if one.tool == "crm.find"])

    assert beside == [["Locked"], [None]]
