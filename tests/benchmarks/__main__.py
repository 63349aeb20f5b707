"""All benchmarks, one after the other: what is promised and what was measured, side by side.

    python -m tests.benchmarks            # about 10 minutes, on a machine that does nothing else

Each can be run alone: ``python -m tests.benchmarks.NAME --report FILE``. Exit code 1 when one could not
measure, 2 when a promise was not kept.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = (
    "detectors", "detection.nab", "sdk_text", "text", "emit", "sink", "suggest", "stop", "preflight",
    "pipeline",
)  # fmt: skip


def main() -> int:
    """Run them and print every figure."""
    rows, worst = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            report = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--report", str(report)]
            code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
            if not report.exists():
                rows.append((name, "did not measure", "", ""))
                worst = 1
                continue
            worst = worst or (2 if code else 0)
            found = json.loads(report.read_text())
            rows += [_row(name, figure) for figure in found["figures"]]
            if "skipped" in found:
                rows.append((name, f"NOT MEASURED: {found['skipped']}", "", ""))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return worst


def _row(name: str, figure: dict[str, object]) -> tuple[str, str, str, str]:
    """One figure: benchmark, what, promised, measured."""
    if "promised_max" in figure:
        promised = f"at most {figure['promised_max']}"
    elif "promised_min" in figure:
        promised = f"at least {figure['promised_min']}"
    else:
        promised = ""
    return name, str(figure["name"]), promised, f"{figure['measured']} {figure['unit']}"


if __name__ == "__main__":
    sys.exit(main())
