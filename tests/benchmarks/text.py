"""What untrusted text costs the agent's process: microseconds a kB, everything on, four kinds of text.

    python -m tests.benchmarks.text --report FILE

Results of tools of about 4 kB go the whole way of the background thread: hash, fingerprints, orders and
their names, marks, similarity, redaction, line. Values differ from round to round, so little is remembered.
Beside each figure stands its ratio to a fixed loop of plain Python, run in turns with it: that compares
from run to run where the machine is shared.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks import promises
from tracefuse.canonical import canonical
from tracefuse.drafts import Draft, Run, snapshot
from tracefuse.evidence import Identity, Witness
from tracefuse.fingerprints import fingerprints, leaves
from tracefuse.orders import ordered
from tracefuse.redact import Redactor
from tracefuse.sketches import marks, simhash

KEY = b"a key of thirty-two bytes in all"
TEXT_US_MAX = 150.0  # a kB
CHARACTERS = 4000
ROUNDS = 41

_WORDS = (
    "the order of this customer was delivered late and it is still open we have seen that before so I have "
    "asked our partner about the price but nobody could say when they will answer us in the next week also "
    "our team is looking for a better date because most people are away and a room for ten was not free"
)
_VOCABULARY = _WORDS.split()
_NAMES = ("Ann Lee", "Bob Stone", "Carla Diaz", "Old Mill Hotel", "North Bank")
_WORK = ("cache", "orders", "router", "batch", "index", "session", "worker")


def _sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(_VOCABULARY, k=rng.randint(8, 20))).capitalize() + ". "


def mail(rng: random.Random) -> object:
    """Prose with a sender, names, an amount, and now and then a wish to the reader."""
    name = rng.choice(_NAMES)
    sender = f"{name.lower().replace(' ', '.')}@firm{rng.randrange(9999)}.example"
    text = f"From: {sender}\nDate: 2026-03-{rng.randrange(10, 28)}\n\nHello,\n\n"
    while len(text) < CHARACTERS:
        text += "".join(_sentence(rng) for _ in range(4))
        text += f"{rng.choice(_NAMES)} paid ${rng.randrange(9000)}.{rng.randrange(10, 99)} for it. "
        if rng.random() < 0.4:
            text += f"Please send the list to {rng.choice(_NAMES)} by noon. "
        text += "\n\n"
    return text


def record(rng: random.Random) -> object:
    """Rows of a table as a tool returns them."""
    rows: list[object] = []
    while len(rows) < CHARACTERS // 250:
        number = rng.randrange(10**6, 10**7)
        rows.append(
            {
                "order_id": number,
                "status": rng.choice(("shipped", "open", "closed")),
                "created_at": f"2026-0{rng.randrange(1, 9)}-11T08:15:{rng.randrange(10, 59)}Z",
                "customer": {"name": rng.choice(_NAMES), "email": f"c{number}@mail.example"},
                "items": [{"sku": f"ab-{rng.randrange(999)}", "price": rng.randrange(99) + 0.5}],
                "paid": True,
                "note": _sentence(rng),
            }
        )
    return {"rows": rows, "next": None, "total": len(rows)}


def log(rng: random.Random) -> object:
    """Lines of a service's log: times, levels, ids, addresses, paths."""
    text = ""
    while len(text) < CHARACTERS:
        part = rng.choice(_WORK)
        text += (
            f"2026-03-11T08:{rng.randrange(10, 59)}:{rng.randrange(10, 59)}.{rng.randrange(999):03} "
            f"{rng.choice(('INFO', 'WARN', 'DEBUG'))} [{part}-{rng.randrange(64)}] {part}.flush: request "
            f"{rng.getrandbits(64):016x} from 10.0.{rng.randrange(255)}.{rng.randrange(255)} took "
            f"{rng.randrange(999)} ms, path=/api/v1/{part}/{rng.randrange(10**5)} "
            f"status={rng.choice((200, 404))}\n"
        )
    return text


def code(rng: random.Random) -> object:
    """A file of a program."""
    text = ""
    while len(text) < CHARACTERS:
        one, two = rng.sample(_WORK, 2)
        text += (
            f"def read_{one}_{rng.randrange(99)}(self, {two}: list[str], "
            f"limit: int = {rng.randrange(999)}) -> None:\n"
            f'    """{_sentence(rng).strip()}"""\n'
            f"    for item in {two}[:limit]:\n"
            f"        if item.startswith('{one}/') and self.{two}.get(item) is None:\n"
            f'            self.{two}[item] = {one}.open(item, mode="rb")  # {_sentence(rng).strip()}\n'
            f"    return set_state(self.{one}, {rng.random():.3f})\n\n"
        )
    return text


KINDS: dict[str, Callable[[random.Random], object]] = {
    "mail": mail,
    "JSON": record,
    "log": log,
    "code": code,
}


def yardstick() -> int:
    """A fixed piece of work in plain Python: how fast the core is just now."""
    counts: dict[str, int] = {}
    for number in range(400):
        for word in _VOCABULARY[number % 7 :: 7]:
            counts[word] = counts.get(word, 0) + len(word)
    return len(counts)


def _cpu_us(call: Callable[[], object]) -> float:
    began = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - began) / 1e3


def measured(make: Callable[[random.Random], object], rounds: int) -> dict[str, float]:
    """Medians: the whole way a kB, its ratio to the yardstick, and the parts by themselves."""
    identity = Identity(tenant="t", agent_id="a", environment="dev", bundle="b", boot_id="c")
    witness, redactor, run = Witness(identity, KEY), Redactor(), Run("0" * 32)
    took: dict[str, list[float]] = {}
    for seed in range(rounds):
        body = make(random.Random(seed))
        size = len(body if isinstance(body, str) else canonical(body)) / 1000
        items = list(leaves(body))
        texts = [item for _, item in items if isinstance(item, str)]
        text = "\n".join(texts)
        draft = Draft("tool.result", run, "0" * 16, 1, tool="crm.read", body=snapshot(body))
        stick = statistics.median(_cpu_us(yardstick) for _ in range(3))
        whole = _cpu_us(partial(witness.line, draft, 1)) / size
        took.setdefault("whole", []).append(whole)
        took.setdefault("ratio", []).append(whole / stick)
        # The whole has met these values: let the parts meet others.
        key = seed.to_bytes(4, "little")
        parts: dict[str, Callable[[], object]] = {
            "fingerprints": partial(fingerprints, key, items),
            "orders": partial(ordered, key, texts),
            "marks": partial(marks, text),
            "simhash": partial(simhash, text),
            "redact": partial(redactor.redact, text),
        }
        for name, part in parts.items():
            took.setdefault(name, []).append(_cpu_us(part) / size)
    return {
        name: round(statistics.median(times), 3 if name == "ratio" else 1)
        for name, times in took.items()
    }


def report(rounds: int) -> dict[str, object]:
    """All rows, and the promise beside what was measured."""
    rows = {kind: measured(make, rounds) for kind, make in KINDS.items()}
    for kind, row in rows.items():
        cells = "".join(f"  {column} {value}" for column, value in row.items())
        sys.stdout.write(f"{kind:5} us a kB{cells}\n")
    return {
        "benchmark": "text",
        "python": sys.version.split()[0],
        "figures": [
            {
                "name": f"a kB of untrusted text, everything on: {kind}",
                "unit": "us",
                "promised_max": TEXT_US_MAX,
                "measured": row["whole"],
            }
            for kind, row in rows.items()
        ],
        "rows": rows,
    }


def main() -> int:
    """Exit code 2 when a promise wasn't kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="texts of each kind")
    arguments = parser.parse_args()
    found = report(arguments.rounds)
    if arguments.report:
        arguments.report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    figures = found["figures"]
    assert isinstance(figures, list)
    return promises.exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
