"""Rollout and rollback as versions of a file, and what a process makes of them."""

import pytest

from ingest.agent_check import sense
from ingest.agent_file import AgentFile, Bundle, Grant, Stage
from stream.detect.granting import bundle as granted
from stream.detect.granting import noted, written
from stream.people.rollout import (
    STAGES,
    UnderWay,
    began,
    following,
    gate,
    rolled_back,
    rolled_out,
    under_way,
)
from tests.pipe import trace_id
from tests.sdk import SIGNER, sdk
from tracefuse.control import Command, Reason, bundle_scope, control_key, encode
from tracefuse.errors import CircuitOpen, ConfigError, ToolDenied
from tracefuse.grants import Grants, decode

RUNS = [trace_id(number) for number in range(4000)]


def grants(canary: float = 0.0, version: int = 1) -> Grants:
    more = f',"canary":{{"hash":"b2","share":{canary}}}' if canary else ""
    text = (
        f'{{"agent":"refunds","version":{version},"held":[],"tools":{{"crm.pay":{{}}}},'
        f'"bundles":{{"stable":{{"hash":"b1"}}{more}}}}}'
    )
    return decode(text.encode())


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_a_share_of_the_runs_gets_the_canary(share: float) -> None:
    """As many as declared, within three standard deviations; a larger share adds runs, and moves none."""
    small, large = grants(share), grants(min(1.0, 2 * share))
    chosen = {run for run in RUNS if small.bundle_of(run) == "b2"}
    spread = 3 * (len(RUNS) * share * (1 - share)) ** 0.5

    assert abs(len(chosen) - share * len(RUNS)) <= spread
    assert chosen <= {run for run in RUNS if large.bundle_of(run) == "b2"}


def test_a_run_bears_the_bundle_it_was_given() -> None:
    """All of its events do, and the agent's code can ask for it."""
    with sdk() as sent:
        sent.fuse.held.obey_file(grants(1.0))
        with sent.fuse.trace() as trace, trace.tool("crm.pay"):
            assert trace.bundle == "b2"

    assert {event.bundle for event in sent.events() if event.name != "bundle"} == {"b2"}


def test_a_run_that_began_before_the_file_was_read_gets_its_bundle() -> None:
    """Else a process that starts would be refused for having none."""
    with sdk() as sent, sent.fuse.trace() as trace:
        assert trace.bundle == ""
        sent.fuse.held.obey_file(grants())
        with trace.tool("crm.pay"):
            assert trace.bundle == "b1"


@pytest.mark.parametrize(("process", "run"), [("b0", ""), ("", "b0")])
def test_a_version_that_the_file_does_not_name_calls_nothing(process: str, run: str) -> None:
    """What the process is, or the run says of itself, is believed; it is not called by another name."""
    with sdk(bundle=process) as sent:
        sent.fuse.held.obey_file(grants())
        with sent.fuse.trace(bundle=run) as trace:
            assert trace.bundle == "b0"
            with pytest.raises(ToolDenied) as refusal, trace.tool("crm.pay"):
                pytest.fail("it ran")
        with sent.fuse.trace(bundle="b1") as named, named.tool("crm.pay"):
            pass

    assert refusal.value.gate == "version"


def test_a_bundle_that_the_stream_took_back_runs_no_more() -> None:
    """A run of it may call nothing; new runs of its share get the stable bundle, and say so."""
    with sdk() as sent:
        sent.fuse.held.obey_file(grants(1.0))
        with sent.fuse.trace() as trace:
            with trace.tool("crm.pay"):
                pass
            stop = Command(
                cmd_id="c", scope=bundle_scope("acme", "refunds", "b2"), author="auto",
                action="rollback", state="open", epoch=1, reason=Reason("canary_rate"),
            )  # fmt: skip
            key = control_key(stop.scope, "auto")
            sent.fuse.gate.hear(
                key, encode(stop), SIGNER.kid, SIGNER.sign(key, encode(stop)), now=0
            )
            with pytest.raises(CircuitOpen, match="bundle:acme/refunds/b2"), trace.tool("crm.pay"):
                pytest.fail("it ran")
        with sent.fuse.trace() as later, later.tool("crm.pay"):
            assert later.bundle == "b1"

    assert sent.events("tool.result")[-2].attrs["scope"] == stop.scope


def test_a_rollback_is_acknowledged_and_the_withdrawn_bundle_refused() -> None:
    """A run of the canary that goes on may call nothing more; new ones get the stable bundle."""
    with sdk() as sent:
        sent.fuse.held.obey_file(grants(1.0))
        with sent.fuse.trace() as trace:
            with trace.tool("crm.pay"):
                pass
            sent.fuse.held.obey_file(grants(version=2))
            with pytest.raises(ToolDenied, match="withdrawn"), trace.tool("crm.pay"):
                pytest.fail("it ran")
        with sent.fuse.trace() as later, later.tool("crm.pay"):
            assert later.bundle == "b1"

    told = [event.attrs for event in sent.events("bundle")]
    assert [one["version"] for one in told] == [1, 2]
    assert told[-1]["bundles"] == {"stable": "b1"}


def test_a_file_that_says_nothing_new_is_not_told_again() -> None:
    """The registry's reader sees the same record again after each reconnect."""
    with sdk() as sent:
        for _ in range(3):
            sent.fuse.held.obey_file(grants())

    assert len(sent.events("bundle")) == 1


def test_stages_and_the_way_back() -> None:
    """Each is a new version; at all runs the new bundle is the stable one, and knows the one before."""
    agent = AgentFile("refunds", bundles={"stable": Bundle("b1")})
    shadow = rolled_out(agent, "b2", 0.0)
    tried = rolled_out(rolled_out(shadow, "b2", 0.05), "b2", 0.25)
    back, through = rolled_back(tried), rolled_out(tried, "b2", 1.0)

    assert shadow.bundles == {"stable": Bundle("b1"), "shadow": Bundle("b2")}
    assert tried.bundles == {"stable": Bundle("b1"), "canary": Bundle("b2", 0.25)}
    assert (tried.version, back.version) == (4, 5)
    assert back.bundles == rolled_back(shadow).bundles == {"stable": Bundle("b1")}
    assert through.bundles == {"stable": Bundle("b2", previous="b1")}
    assert rolled_back(through).bundles == {"stable": Bundle("b1")}


def test_a_rollback_goes_one_step_however_often_it_is_typed() -> None:
    """Somebody in a hurry types it twice: the bundle that proved itself is not taken back too."""
    through = rolled_out(AgentFile("refunds", bundles={"stable": Bundle("b1")}), "b2", 1.0)
    tried = rolled_out(through, "b3", 0.05)
    back = rolled_back(tried)

    assert tried.bundles["stable"] == Bundle("b2")
    assert rolled_back(back) is back
    assert rolled_back(rolled_back(through)).bundles == {"stable": Bundle("b1")}
    assert rolled_out(through, "b2", 1.0).bundles == through.bundles


def test_where_a_roll_out_stands_and_what_comes_next() -> None:
    """The usual stages where a file declares none; a jump in between is asked what the stage below asks."""
    agent = AgentFile("refunds", bundles={"stable": Bundle("b1")})
    own = AgentFile("refunds", rollout=(Stage(0.1, runs=7), Stage(1.0)))
    now, shares = UnderWay("b2", 0.0), [0.0]
    while now.share < 1.0:
        agent = rolled_out(agent, "b2", now.share)
        assert under_way(agent) == now
        now = UnderWay("b2", following(agent, now.share).share)
        shares.append(now.share)

    assert under_way(rolled_out(agent, "b2", 1.0)) is None
    assert shares == [0.0, 0.01, 0.05, 0.25, 1.0]
    assert [gate(agent, share).runs for share in (0.0, 0.03, 0.05, 0.7)] == [30, 30, 60, 300]
    assert [gate(own, share).runs for share in (0.0, 0.1, 0.5)] == [7, 7, 7]
    assert following(own, 0.0).share == 0.1
    assert following(own, 1.0).share == 1.0


def test_the_usual_stages_ask_for_runs_enough() -> None:
    """So many as, all well, show the share that is asked at 95 %."""
    for stage in STAGES[:-1]:
        assert stage.success**stage.runs <= 0.05
    assert sense(AgentFile("refunds", rollout=STAGES)) == []


def test_a_stage_began_when_its_grant_was_made() -> None:
    """The newest of the same bundle and share; another share's tells nothing."""
    now = UnderWay("b2", 0.05)
    agent = AgentFile("refunds")
    for share, at in ((0.05, 1.0), (0.01, 2.0), (0.05, 3.0), (0.25, 4.0)):
        agent = noted(agent, Grant(granted("b2", share), "ann", at=written(at)))

    assert began(agent, now) == 3.0
    assert began(agent, UnderWay("b2", 0.0)) is None


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    """Less than nothing, more than all, no number."""
    with pytest.raises(ConfigError, match="share"):
        rolled_out(AgentFile("refunds", bundles={"stable": Bundle("b1")}), "b2", share)


def test_without_a_stable_bundle_there_is_no_way_back() -> None:
    """So nothing is rolled out to a share, and nothing is rolled back."""
    for share in (0.0, 0.05):
        with pytest.raises(ConfigError, match="no stable bundle"):
            rolled_out(AgentFile("refunds"), "b2", share)
    with pytest.raises(ConfigError, match="no stable bundle"):
        rolled_back(AgentFile("refunds"))
    assert rolled_out(AgentFile("refunds"), "b1", 1.0).bundles == {"stable": Bundle("b1")}
