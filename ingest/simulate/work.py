"""Healthy work: seven kinds of task, each with tools, models and reasoning of its own. Pure and seeded."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from ingest.registry import Access, Tool
from ingest.simulate.script import Act, Ask, Know, Move, Say, Script

# Log-normal latencies with this spread have a p99 of three times the median, as service latencies do.
SPREAD = 0.45
LATENCY_MS_MAX = 200.0
# Far above what any healthy call takes, also when the machine is busy: three times this is a fault.
DECLARED_MS = 250.0
# Two in a hundred calls fail, as calls of real services do.
ERROR_SHARE = 0.02
_ERRORS = ("Timeout", "RateLimited", "NotFound")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tool of a task: its access class, median latency in ms, and the arguments of a call.

    Rules of approval see those of its arguments that `decision_args` names.
    """

    name: str
    access: Access
    latency_ms: float
    args: Callable[[Random], dict[str, Any]]
    decision_args: tuple[str, ...] = ()

    def declared(self) -> Tool:
        """This tool as the registry declares it."""
        return Tool(access=self.access, latency_ms=DECLARED_MS, decision_args=self.decision_args)


@dataclass(frozen=True, slots=True)
class Model:
    """A model: USD per million tokens in and out, median latency in ms (shortened for the demo)."""

    name: str
    input_usd: float
    output_usd: float
    latency_ms: float


SMALL = Model("small-1", 0.15, 0.60, 40)
LARGE = Model("large-2", 2.50, 10.0, 90)


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of work: what the user asks, what the agent thinks, what it uses."""

    name: str
    model: Model
    message: str
    thoughts: tuple[str, ...]
    reads: tuple[Instrument, ...]
    writes: tuple[Instrument, ...]

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return self.reads + self.writes


def _number(key: str) -> Callable[[Random], dict[str, Any]]:
    return lambda random: {key: random.randrange(10**9)}


def _query(random: Random) -> dict[str, Any]:
    return {"query": f"case {random.randrange(10**9)}", "limit": random.randrange(5, 20)}


def _amount(random: Random) -> dict[str, Any]:
    return {"order": random.randrange(10**9), "amount": round(random.uniform(5, 80), 2)}


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "refund", SMALL, "I want my money back for order {n}.",
            ("Bought {d} days ago, so it is eligible.", "The parcel was scanned {d} days ago."),
            (Instrument("crm.lookup", "read", 20, _number("customer")),
             Instrument("policy.search", "read", 35, _query)),
            (Instrument("payments.refund", "write", 60, _amount),
             Instrument("mail.send", "irreversible", 25, _number("customer"))),
        ),
        Task(
            "research", LARGE, "What is known about topic {n}?",
            ("Source {d} contradicts the first one.", "The figure is from table {d}."),
            (Instrument("web.search", "read", 60, _query),
             Instrument("web.fetch", "read", 80, _number("page"))),
            (Instrument("notes.write", "write", 20, _number("note")),),
        ),
        Task(
            "operations", SMALL, "Alert {n}: latency is above its objective.",
            ("The deploy {d} minutes ago fits the start.", "Node {d} alone is slow."),
            (Instrument("metrics.query", "read", 30, _query),
             Instrument("logs.search", "read", 70, _query)),
            (Instrument("deploy.restart", "write", 90, _number("node")),
             Instrument("ticket.update", "write", 25, _number("ticket"))),
        ),
        Task(
            "support", SMALL, "Ticket {n}: I cannot log in.",
            ("Locked after {d} attempts.", "Article {d} describes this case."),
            (Instrument("kb.search", "read", 30, _query),
             Instrument("crm.lookup", "read", 20, _number("customer"))),
            (Instrument("ticket.reply", "write", 40, _number("ticket")),),
        ),
        Task(
            "coding", LARGE, "Fix issue {n}.",
            ("The failing test touches {d} files.", "Line {d} misses the empty case."),
            (Instrument("repo.search", "read", 25, _query),
             Instrument("repo.read", "read", 20, _number("file")),
             Instrument("tests.run", "read", 120, _number("suite"))),
            (Instrument("repo.write", "write", 30, _number("file")),),
        ),
        Task(
            "invoices", SMALL, "Book invoice {n}.",
            ("The total matches order {d}.", "Tax differs by {d} cents."),
            (Instrument("erp.read", "read", 35, _number("order")),
             Instrument("ocr.extract", "read", 100, _number("scan"))),
            (Instrument("erp.post", "write", 50, _amount),),
        ),
        Task(
            "payouts", SMALL, "Pay supplier {n}.",
            ("The contract is {d} days old.", "Delivery {d} was signed for."),
            (Instrument("ledger.read", "read", 25, _number("supplier")),
             Instrument("bank.balance", "read", 45, _number("account"))),
            (Instrument("bank.transfer", "irreversible", 50, _amount, ("amount",)),),
        ),
    )
}  # fmt: skip


def latency(median_ms: float, random: Random) -> float:
    """A latency in ms: log-normal around the median, at most `LATENCY_MS_MAX`.

    >>> round(latency(40, Random(1)), 1)
    52.6
    """
    return min(median_ms * random.lognormvariate(0, SPREAD), LATENCY_MS_MAX)


def ask(model: Model, random: Random) -> Ask:
    """One model call of ordinary size."""
    tokens_in, tokens_out = random.randrange(400, 2400), random.randrange(40, 400)
    cost = (tokens_in * model.input_usd + tokens_out * model.output_usd) / 1e6
    return Ask(model.name, tokens_in, tokens_out, cost, latency(model.latency_ms, random))


def act(instrument: Instrument, random: Random) -> Act:
    """One call of ordinary latency. No two calls have the same arguments and result."""
    args = instrument.args(random)
    result = {"ok": True, "id": f"{random.getrandbits(48):012x}"}
    failed = random.random() < ERROR_SHARE
    writes = instrument.access != "read"
    changes = ({"done": False, **args}, {"done": not failed, **args}) if writes else None
    return Act(
        instrument.name, args, result, latency(instrument.latency_ms, random),
        error=random.choice(_ERRORS) if failed else "", changes=changes,
    )  # fmt: skip


def script(task: Task, random: Random) -> Script:
    """One ordinary run: a plan, what was retrieved, a few turns of think and act, then a write.

    >>> run = script(TASKS["refund"], Random(1))
    >>> run.task, len([move for move in run.moves if isinstance(move, Act)])
    ('refund', 3)
    """
    moves: list[Move] = [
        Say("plan", f"Understand the case, then decide on one of {len(task.writes)} actions."),
        Know([{"id": f"doc-{random.randrange(500)}", "version": "3"} for _ in range(2)]),
    ]
    for _ in range(random.randrange(2, 5)):
        moves += [ask(task.model, random), _thought(task, random)]
        moves.append(act(random.choice(task.reads), random))
    moves += [ask(task.model, random), _thought(task, random)]
    moves.append(act(random.choice(task.writes), random))
    return Script(
        task.name,
        user=f"user-{random.randrange(10_000)}",
        message=task.message.format(n=random.randrange(10**6)),
        moves=moves,
        answer=f"Case {random.randrange(10**6)} is settled.",
    )


def _thought(task: Task, random: Random) -> Say:
    text = random.choice(task.thoughts).format(d=random.randrange(2, 40))
    return Say("thought", text, round(random.uniform(0.6, 0.99), 2))
