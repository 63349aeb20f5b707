"""What the emitter's background thread pays for text: microseconds an event, microseconds a kB.

    python -m tests.benchmarks.sdk_text --report FILE

Redaction, fingerprints, similarity and marks of a short text and of a large one, hashes of
arguments, and the disk spool; on one core, the best of many loops.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import promises
from tracefuse.canonical import canonical, keyed_hash
from tracefuse.fingerprints import fingerprints
from tracefuse.redact import Redactor
from tracefuse.sketches import marks, simhash, template
from tracefuse.spool import Spool

KEY = b"a key of thirty-two bytes in all"
# The usual thought: words, a small number, no address. 99 characters.
SHORT = "Bought 12 days ago, so the order is eligible for a refund of the price; I call the tool again now."
# With an address, an amount and an id, each of them a fingerprint.
TELLING = (
    "Write to ann@example.com and refund 25.00 to the card of order 991234, then close the ticket."
)
ROW = (
    '{"order_id": 991, "status": "shipped", "items": [{"sku": "ab-12", "price": 25.0}], '
    '"note": "leave it at the door, the bell is broken since last week"}, '
)
LARGE = ROW * 64  # a tool's result of about 10 kB
ARGUMENTS = {"order": 991, "reason": "late", "ok": True, "who": "ann", "amount": 25.0}
ERROR = "order 991 of 'ann' not found in /data/orders.db (id 5f0c-77)"
SHORT_US_MAX = 8.0  # of the 20 µs that an event may cost the agent's process
LARGE_US_MAX = 150.0  # a kB


def _best(
    call: Callable[[], object], loops: int, clock: Callable[[], int] = time.thread_time_ns
) -> float:
    """Microseconds of CPU a call, the best of forty loops: other programs only ever add time."""
    times = []
    for _ in range(40):
        start = clock()
        for _ in range(loops // 10 or 1):
            call()
        times.append((clock() - start) / (loops // 10 or 1) / 1e3)
    return round(min(times), 2)


def _text(text: str, loops: int) -> dict[str, float]:
    redactor = Redactor()
    parts = {
        "redact": _best(lambda: redactor.redact(text), loops),
        "fingerprints": _best(lambda: fingerprints(KEY, [("text", text)]), loops),
        "simhash": _best(lambda: simhash(text), loops),
    }
    return parts | {
        "together": round(sum(parts.values()), 2),
        "marks": _best(lambda: marks(text), loops),
    }


def _spool() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(folder, 500_000_000)
        envelope, wall = b"e" * 20_000, time.perf_counter_ns
        rows = {
            "append 20 kB": _best(lambda: spool.append(envelope), 500, wall),
            "append 600 B": _best(lambda: spool.append(envelope[:600]), 500, wall),
            "peek and ack of 50": _best(lambda: spool.ack(len(spool.peek(50))), 8, wall),
        }
        spool.close()
    return rows


def report() -> dict[str, object]:
    """All rows, and the promises beside what was measured."""
    large = {name: round(us / len(LARGE) * 1000, 2) for name, us in _text(LARGE, 100).items()}
    rows = {
        f"text of {len(SHORT)} characters": _text(SHORT, 20_000),
        f"with three tokens, {len(TELLING)} characters": _text(TELLING, 20_000),
        f"a kB of a JSON result of {len(LARGE) // 1000} kB": large,
        "arguments": {
            "canonical": _best(lambda: canonical(ARGUMENTS), 20_000),
            "keyed hash": _best(lambda: keyed_hash(KEY, b"x" * 60), 20_000),
            "template of an error": _best(lambda: template(ERROR), 20_000),
        },
        "spool": _spool(),
    }
    for name, row in rows.items():
        cells = "".join(f"  {column} {value}" for column, value in row.items())
        sys.stdout.write(f"{name}, us\n{cells}\n")
    return {
        "benchmark": "sdk_text",
        "python": sys.version.split()[0],
        "figures": [
            {
                "name": "redaction, fingerprints and similarity, text of 100 characters",
                "unit": "us",
                "promised_max": SHORT_US_MAX,
                "measured": rows[f"text of {len(SHORT)} characters"]["together"],
            },
            {
                "name": "redaction, fingerprints and similarity, a kB of a large result",
                "unit": "us",
                "promised_max": LARGE_US_MAX,
                "measured": large["together"],
            },
        ],
        "rows": rows,
    }


def main() -> int:
    """Exit code 2 when a promise wasn't kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    arguments = parser.parse_args()
    found = report()
    if arguments.report:
        arguments.report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    figures = found["figures"]
    assert isinstance(figures, list)
    return promises.exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
