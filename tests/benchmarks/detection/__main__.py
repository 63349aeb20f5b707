"""One command for the scoring harness.

    python -m tests.benchmarks.detection nab [--data DIR] [--report FILE] [--plots DIR]
    python -m tests.benchmarks.detection dojo …
    python -m tests.benchmarks.detection loops [--data DIR] [--report FILE]
    python -m tests.benchmarks.detection sequences [--data DIR] [--report FILE]
    python -m tests.benchmarks.detection versions [--report FILE]
    python -m tests.benchmarks.detection azure [--data FILE] [--report FILE]
    python -m tests.benchmarks.detection month [--days 30] [--agents 100] [--report FILE]
    python -m tests.benchmarks.detection cold_start [--report FILE]
    python -m tests.benchmarks.detection who_when [--data DIR] [--report FILE]

Each part is a module of its own with the same arguments: `python -m tests.benchmarks.detection.nab`.
"""

import runpy
import sys

NAMES = (
    "nab",
    "dojo",
    "loops",
    "sequences",
    "versions",
    "month",
    "azure",
    "who_when",
    "cold_start",
)


def main() -> None:
    """Run the part that is named first, with the arguments that follow."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"usage: python -m tests.benchmarks.detection {{{','.join(NAMES)}}} …")
    name = sys.argv.pop(1)
    runpy.run_module(f"tests.benchmarks.detection.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
