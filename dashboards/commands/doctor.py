"""`tracefuse doctor`: looks at everything the stack stands on, and says how to mend what is wrong."""

import argparse
from collections.abc import Callable, Iterator

from dashboards import checks
from dashboards.checks import Finding
from dashboards.output import Output
from ingest.settings import Settings

CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    checks.python,
    checks.packages,
    checks.java,
    checks.jars,
    checks.folder,
    checks.keys,
    checks.ports,
    checks.broker,
    checks.store,
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """None: everything comes from the environment."""


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    wrong = 0
    for check in CHECKS:
        for finding in check(settings):
            wrong += finding.state == "wrong"
            record = {name: getattr(finding, name) for name in finding.__slots__}
            out.record(record, f"{finding.state:<5}  {finding.what}: {finding.detail}")
            if finding.hint:
                out.say(f"         → {finding.hint}")
    return 1 if wrong else 0
