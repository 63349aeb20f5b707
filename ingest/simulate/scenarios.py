"""Every scenario by its name. A new one is a file, and a line here."""

from ingest.simulate import (
    disallowed_tool,
    error_spike,
    latency_collapse,
    over_budget,
    rogue,
    runaway_cost,
    silent,
    tool_loop,
    unapproved,
    write_flood,
)
from ingest.simulate.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        tool_loop.SCENARIO,
        runaway_cost.RUN,
        runaway_cost.DAY,
        error_spike.SCENARIO,
        rogue.SCENARIO,
        write_flood.SCENARIO,
        silent.SCENARIO,
        latency_collapse.SCENARIO,
        disallowed_tool.SCENARIO,
        over_budget.SCENARIO,
        unapproved.SCENARIO,
    )
}
