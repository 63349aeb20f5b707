"""What calls carry out of confidential results, and planted values: through real evidence and both cores."""

from typing import Any

import pytest

from ingest.records import Signal
from stream.join.origins import GUARDED_KEPT
from stream.outputs import Answer, Output
from tests.pipe import AGENT, TENANT, TRACE, Pipe, commands, registered, signals
from tracefuse import honeytokens
from tracefuse.drafts import Draft, Run
from tracefuse.evidence import Identity, Witness
from tracefuse.grants import Grants
from tracefuse.grants import decode as grants_of

KEY = b"k" * 32
READ, NOTE, POST, GET = "crm.find", "crm.note", "web.post", "web.get"
FILE: dict[str, Any] = {
    "owner": {"name": "Support"},
    "tools": {
        READ: {"access": "read", "confidential": True}, NOTE: {"access": "write", "confidential": True},
        POST: {"access": "write"}, GET: {"access": "read"},
    },
}  # fmt: skip
GRANTS: Grants = grants_of(
    b'{"agent":"a","tools":{"crm.find":{"access":"read","confidential":true}}}'
)
RECORD = {
    "name": "Ann Moor",
    "mail": "ann.moor@customer.example",
    "account": "GB29NWBK60161331926819",
}
SECRET = "ann.moor@customer.example"


class Agent:
    """An agent's process that knows its file."""

    def __init__(self) -> None:
        self.pipe, self.run, self.seq = Pipe(), Run(TRACE), 0
        self.pipe.tell(registered(AGENT, **FILE))
        who = Identity(tenant=TENANT, agent_id=AGENT, environment="dev", bundle="", boot_id="b1")
        self.witness = Witness(who, KEY, confidential=GRANTS.confidential)

    def say(self, name: str, body: object, tool: str = "", hold: bool = False) -> list[Output]:
        self.seq += 1
        draft = Draft(
            name, self.run, f"{self.seq:016x}", 1_795_000_000_000_000 + self.seq, body=body, tool=tool,
            call_id=f"c{self.seq}",
        )  # fmt: skip
        event = self.witness.event(draft, self.seq)
        if hold:
            event.attempt, event.deadline_ms = 1, 1000
        return self.pipe.send(event)

    def write(self, tool: str, **args: object) -> tuple[str, list[Signal]]:
        """A held call: its verdict, and what was found of leaks."""
        out = self.say("tool.request", args, tool, hold=True)
        (word,) = [one.verdict.word for one in out if isinstance(one, Answer)]
        return word, leaks(out)


def leaks(out: list[Output]) -> list[Signal]:
    return [one for one in signals(out) if one.detector == "leakage"]


def test_a_value_of_a_confidential_result_waits() -> None:
    """The very write that carries it on; told by class, place and hash, never by value."""
    agent = Agent()
    agent.say("tool.result", RECORD, READ)
    word, (signal,) = agent.write(POST, to=SECRET, text="hello")

    assert word == "needs_approval"
    assert (signal.action, signal.severity, signal.score) == ("step-up", "high", 3.0)
    assert signal.evidence["observed"][0] == "confidential"
    assert (signal.evidence["class"], signal.evidence["argument"]) == ("email", "to")
    assert SECRET not in repr(signal)


def test_at_home_it_may_go() -> None:
    """A tool whose results are confidential too may be told it."""
    agent = Agent()
    agent.say("tool.result", RECORD, READ)

    assert agent.write(NOTE, to=SECRET) == ("allow", [])


def test_what_the_user_named_is_no_secret_from_the_user() -> None:
    """Somebody in charge asked for that very mail."""
    agent = Agent()
    agent.say("input.user", f"Write to {SECRET}.")
    agent.say("tool.result", RECORD, READ)

    assert agent.write(POST, to=SECRET)[0] == "allow"


def test_the_same_value_of_an_open_result_goes() -> None:
    """The control: the file calls that tool's results nothing."""
    agent = Agent()
    agent.say("tool.result", RECORD, GET)

    assert agent.write(POST, to=SECRET) == ("allow", [])


def test_a_read_may_name_a_record() -> None:
    """It takes nothing out, and nothing is said."""
    agent = Agent()
    agent.say("tool.result", RECORD, READ)
    out = agent.say("tool.request", {"who": SECRET}, GET)

    assert leaks(out) == []


def test_of_many_none_gets_out() -> None:
    """What is more than is remembered: each value that some result of the run listed waits then."""
    agent = Agent()
    rows = [{"mail": f"c{n}@customer.example"} for n in range(GUARDED_KEPT + 1)]
    agent.say("tool.result", rows, READ)

    assert agent.write(POST, to="c0@customer.example")[0] == "needs_approval"


@pytest.mark.parametrize(("tool", "held"), [(POST, True), (NOTE, True), (GET, False)])
def test_a_honeytoken_stops_the_run(tool: str, held: bool) -> None:
    """Whatever the call may do, and wherever it goes; a held one is denied before it has run."""
    agent, made = Agent(), honeytokens.token(KEY, b"0123456789")
    out = agent.say("tool.request", {"q": f"see {made}"}, tool, hold=held)
    (signal,) = leaks(out)

    assert (signal.severity, signal.action, signal.score) == ("critical", "stop-run", 4.0)
    assert [one.scope for one in commands(out)] == [f"run:{TENANT}/{AGENT}/{TRACE}"]
    assert [one.verdict.word for one in out if isinstance(one, Answer)] == ["deny"] * held
    assert made not in repr(signal)


def test_who_only_read_the_honeytoken_goes_on() -> None:
    """Its twin: the record was read with all others, and nothing of it was carried on."""
    agent, made = Agent(), honeytokens.token(KEY, b"0123456789")
    agent.say("tool.result", {"note": made}, GET)
    out = agent.say("tool.request", {"q": "the weather"}, POST, hold=True)

    assert (leaks(out), commands(out)) == ([], [])
    assert [one.verdict.word for one in out if isinstance(one, Answer)] == ["allow"]
