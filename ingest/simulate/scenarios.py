"""Every scenario by its name. A new one is a file, and a line here; or a row in `habits`."""

from ingest.simulate import (
    approval,
    changed_descriptor,
    disallowed_tool,
    error_spike,
    failed_canary,
    habits,
    killed,
    latency_collapse,
    malformed_output,
    over_budget,
    promotion_refused,
    rogue,
    runaway_cost,
    silent,
    tool_loop,
    unapproved,
    write_flood,
    wrong_version,
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
        changed_descriptor.SCENARIO,
        wrong_version.SCENARIO,
        approval.GIVEN,
        approval.REFUSED,
        killed.SCENARIO,
        failed_canary.SCENARIO,
        promotion_refused.SCENARIO,
        malformed_output.SCENARIO,
        *habits.HABITS,
    )
}

DEMO = [name for name, one in SCENARIOS.items() if not one.all_only]
"""What `tracefuse demo` plays."""

REST = [name for name, one in SCENARIOS.items() if one.all_only and not one.lasts_s]
"""What `tracefuse demo --all` plays besides."""

LASTING = [name for name, one in SCENARIOS.items() if one.lasts_s]
"""What plays beside all of these, since it takes longer."""
