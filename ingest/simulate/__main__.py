"""Plays a prepared fleet: `python -m ingest.simulate --folder F ...`. The demo starts it; so can you."""

import argparse
import sys
from pathlib import Path

from ingest.simulate.fleet import Fleet, rates
from ingest.simulate.process import Errand
from ingest.simulate.roles import HEALTHY, fleet
from ingest.simulate.scenarios import SCENARIOS
from tracefuse.clock import monotonic


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when an agent's process did not end in order."""
    parser = argparse.ArgumentParser(prog="python -m ingest.simulate", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="as `fleet.prepare` left it")
    parser.add_argument("--bootstrap", required=True, help="Kafka, host:port")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--duration", type=float, default=60.0, help="seconds")
    parser.add_argument("--rate", type=float, default=2000.0, help="events a second, all agents")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--healthy", type=int, default=HEALTHY, help="agents without a fault")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="default: all")
    told = parser.parse_args(arguments)
    roles = fleet(told.scenario, told.healthy)
    errand = Errand(
        folder=told.folder,
        bootstrap=told.bootstrap,
        tenant=told.tenant,
        seed=told.seed,
        end=monotonic() + told.duration,
    )
    return 1 if Fleet(roles, rates(roles, told.rate), errand).run() else 0


if __name__ == "__main__":
    sys.exit(main())
