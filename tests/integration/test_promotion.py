"""From staging into prod, from bundle to bundle and back, as people type it; on a real broker and store."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import tracefuse
from dashboards import cli
from ingest.agent_file import AgentFile, Grant
from ingest.agent_toml import written
from ingest.keys import Keys, create
from ingest.provision import provision
from ingest.registry import parse
from ingest.settings import Settings
from stream.detect.granting import environment
from stream.people import registration
from stream.people.registration import Unearned, in_force
from stream.people.rollout import rolled_back
from tests.sinking import client
from tests.workers import Processes
from tracefuse.errors import ToolDenied

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

START_SECONDS = 60.0
FILE = """
agent = "NAME"
tenant = "acme"
environment = "staging"
owner = { name = "Payments" }
[tools."crm.find"]
access = "read"
[tools."crm.pay"]
access = "write"
decision_args = ["amount"]
[gates.prod]
runs = 3
success = 0.9
days = 1
approvers = ["ann"]
[[approvals]]
name = "dear"
when = "has(args.amount) && args.amount > 10.0"
approvers = ["ann"]
[bundles.stable]
hash = "b1"
[[rollout]]
share = 0
runs = 2
success = 1
[[rollout]]
share = 0.25
runs = 2
success = 0.9
[[rollout]]
share = 1
"""

Said = tuple[int, Any, str]
Tell = Callable[..., Said]


@pytest.fixture(scope="module")
def keys(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """Keys of a running worker and sink."""
    asyncio.run(provision(settings))
    made = create(settings.keys_folder)
    processes = Processes(settings, tmp_path_factory.mktemp("processes"))
    processes.start("worker")
    processes.start("sink", "dashboards.cli", "sink")
    yield made
    processes.stop()


@pytest.fixture
def tell(
    settings: Settings,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Tell:
    """Type a command: exit code, its answers, what it said of an error."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    def typed(*words: str) -> Said:
        capsys.readouterr()
        code = cli.main([*words, "--json"])
        said = capsys.readouterr()
        found = [json.loads(line) for line in said.out.splitlines()]
        return code, found[0] if len(found) == 1 else found, said.err

    return typed


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + START_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def publish(tell: Tell, folder: Path, agent: str, text: str = "") -> Said:
    """Publish a file as people write it."""
    path = folder / f"{agent}.toml"
    path.write_text(text or FILE.replace("NAME", agent))
    return tell("registry", "publish", str(path))


def file(settings: Settings, keys: Keys, agent: str) -> AgentFile:
    return asyncio.run(in_force(settings, keys))[f"acme/{agent}"]


class Agent:
    """A process of an agent, which obeys the newest version of its file."""

    def __init__(self, settings: Settings, keys: Keys, name: str, **more: Any):
        self.settings, self.name = settings, name
        self.fuse = tracefuse.init(
            bootstrap=settings.bootstrap, credential=keys.credential("acme", name), **more
        )

    def obeys(self, version: int) -> None:
        until(
            lambda: self.fuse.held.grants is not None and self.fuse.held.grants.version == version,
            f"version {version} never came",
        )

    def stored(self, count: int) -> None:
        """Wait until so many ends of runs are in the store."""
        query = "SELECT count() FROM events WHERE agent_id = {agent:String} AND name = 'run.end'"

        def ended() -> bool:
            with client(self.settings) as db:
                found = db.query(query, parameters={"agent": self.name}).result_rows[0][0]
            return int(found) >= count

        until(ended, f"{count} runs never came into the store")

    def runs(self, count: int, **more: Any) -> None:
        for _ in range(count):
            with self.fuse.trace(**more) as trace, trace.tool("crm.find") as call:
                call.result("found")


def test_an_agent_that_proved_itself_in_staging_may_run_in_prod(
    settings: Settings, keys: Keys, tell: Tell, tmp_path: Path
) -> None:
    """Refused in words while anything lacks; then a version that says who decided, on what proof."""
    publish(tell, tmp_path, "prover")
    wanted = ("promote", "acme/prover", "--to", "prod", "--reason", "two quiet weeks")
    early = tell(*wanted, "--by", "bob")
    unchanged = file(settings, keys, "prover")
    staging = Agent(settings, keys, "prover", environment="staging")
    prod = Agent(settings, keys, "prover", environment="prod")
    staging.obeys(1)
    prod.obeys(1)
    staging.runs(3)
    with prod.fuse.trace() as trace, pytest.raises(ToolDenied, match="prod"), trace.tool("crm.pay"):
        pytest.fail("it ran")
    staging.stored(3)
    stranger = tell(*wanted, "--by", "bob")
    code, granted, _ = tell(*wanted, "--by", "ann")
    prod.obeys(2)

    def paid() -> bool:
        with prod.fuse.trace() as trace:
            try:
                with trace.tool("crm.pay", {"amount": 1.0}):
                    return True
            except ToolDenied:
                return False

    until(paid, "the worker never granted it")
    again = tell(*wanted, "--by", "ann")
    new = file(settings, keys, "prover")
    for one in (staging, prod):
        one.fuse.close()

    assert early[0] == cli.NO
    assert early[1]["lacking"] == [
        "0 of 3 runs",
        "0 of 1 days",
        "bob is not among the approvers (ann)",
    ]
    assert (early[1]["granted"], unchanged.version, unchanged.granted) == (False, 1, ("staging",))
    assert stranger[0] == cli.NO
    assert stranger[1]["lacking"] == ["bob is not among the approvers (ann)"]
    assert (code, granted["granted"], granted["version"]) == (cli.OK, True, 2)
    assert new.granted == ("staging", "prod")
    [grant] = new.grants
    assert (grant.what, grant.by, grant.reason) == ("environment prod", "ann", "two quiet weeks")
    assert grant.shown == "in staging: 3 runs on 1 day, 100 % of them well"
    assert again[0] == cli.USAGE


def test_a_file_that_people_write_adds_no_environment_and_no_decision(
    settings: Settings, keys: Keys, tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it does with the gate. What it was granted it may keep or drop. Control: without the check
    the same file would go past the gate."""
    text = FILE.replace("NAME", "author")
    publish(tell, tmp_path, "author", text)
    places = 'version = 2\nenvironments = ["staging", "prod"]\n'
    ungated = text.replace("[gates.prod]\nruns", "[gates.staging]\nruns")
    claimed = (
        '\n[[grants]]\nwhat = "environment prod"\nby = "ann"\nat = "2026-11-01T10:00:00Z"\n'
        'shown = "in staging: 900 runs"\n'
    )
    wide = [places + text, places + ungated, "version = 2\n" + text.replace('"staging"', '"prod"')]
    refused = [publish(tell, tmp_path, "author", one) for one in wide]
    claims = [
        publish(tell, tmp_path, "author", "version = 2\n" + text + claimed),
        publish(tell, tmp_path, "author", places + text + claimed),
    ]
    kept = file(settings, keys, "author")
    with monkeypatch.context() as open_door:
        open_door.setattr(registration, "unearned", lambda before, after: "")
        careless = publish(tell, tmp_path, "author", wide[0])
    past = file(settings, keys, "author")
    older = publish(tell, tmp_path, "author", text)
    changed = publish(tell, tmp_path, "author", "version = 2\n" + text)
    later = publish(tell, tmp_path, "author", "version = 3\n" + text)

    for code, _, error in refused:
        assert code == cli.NO
        assert "tracefuse promote acme/author --to prod" in error
    for code, _, error in claims:
        assert code == cli.NO
        assert "nobody made the decision 'environment prod'" in error
    assert kept == parse(text)
    assert (careless[0], past.granted) == (cli.OK, ("staging", "prod"))
    assert (older[0], changed[0]) == (cli.USAGE, cli.USAGE)
    assert "version 2 is in force with other contents" in changed[2]
    assert (later[0], file(settings, keys, "author").granted) == (cli.OK, ("staging",))


def test_a_first_file_begins_with_the_decisions_that_it_bears(
    settings: Settings, keys: Keys, tell: Tell, tmp_path: Path
) -> None:
    """In another cluster, from the text that was saved; without them its gate is asked first."""
    agent = parse('environments = ["staging", "prod"]\n' + FILE.replace("NAME", "moved"))
    proved = written(agent) + '\n[[grants]]\nwhat = "environment prod"\nby = "ann"\n'
    bare = publish(tell, tmp_path, "moved", written(agent))
    whole = publish(tell, tmp_path, "moved", proved)

    assert (bare[0], whole[0]) == (cli.NO, cli.OK)
    assert file(settings, keys, "moved").grants == (Grant(environment("prod"), "ann"),)


def test_a_bundle_goes_out_stage_by_stage_and_back(
    settings: Settings, keys: Keys, tell: Tell, tmp_path: Path
) -> None:
    """Each stage is asked for what it declares, of this bundle, since it began; every step is on record."""
    publish(tell, tmp_path, "roller")
    began = tell("rollout", "acme/roller", "--to", "b2")
    agent = Agent(settings, keys, "roller", environment="staging")
    agent.obeys(2)
    agent.runs(3)  # of the stable bundle: they prove nothing
    agent.stored(3)
    early = tell("rollout", "acme/roller", "--next")
    for _ in range(2):
        with agent.fuse.trace() as trace, trace.tool("crm.find"):
            pass
        twin = agent.fuse.shadow(trace)
        assert twin is not None
        with twin, twin.tool("crm.find"):
            pass
    agent.stored(7)
    second = tell("rollout", "acme/roller", "--next")
    agent.obeys(3)
    fresh = tell(
        "rollout", "acme/roller", "--next"
    )  # shadow runs count for the shadow's stage alone
    agent.runs(2, bundle="b2")
    with pytest.raises(OSError, match="away"), agent.fuse.trace(bundle="b2"):
        raise OSError("away")
    agent.stored(10)
    bad = tell("rollout", "acme/roller", "--next")
    agent.runs(7, bundle="b2")
    agent.stored(17)
    last = tell("rollout", "acme/roller", "--next", "--by", "carl")
    agent.obeys(4)
    through = file(settings, keys, "roller")
    back = tell("rollback", "acme/roller", "acme/nobody", "--reason", "it lies")
    agent.obeys(5)
    with (
        agent.fuse.trace(bundle="b2") as trace,
        pytest.raises(ToolDenied, match="withdrawn"),
        trace.tool("crm.find"),
    ):
        pytest.fail("it ran")
    twice = tell("rollback", "acme/roller")
    agent.fuse.close()
    done = file(settings, keys, "roller")

    assert (began[0], began[1]["share"], began[1]["version"]) == (cli.OK, 0.0, 2)
    assert (early[0], early[1]["lacking"]) == (cli.NO, ["0 of 2 runs"])
    assert (second[0], second[1]["share"]) == (cli.OK, 0.25)
    assert (fresh[0], fresh[1]["lacking"]) == (cli.NO, ["0 of 2 runs"])
    assert (bad[0], bad[1]["lacking"]) == (
        cli.NO, ["66.6 % of the runs went well, 90 % are asked"],
    )  # fmt: skip
    assert (last[0], last[1]["share"]) == (cli.OK, 1.0)
    assert through.bundles["stable"].hash == "b2"
    assert back[0] == cli.NO
    assert back[1][0] == {"agent": "acme/roller", "version": 5, "bundle": "b1", "changed": True}
    assert back[1][1] == {"agent": "acme/nobody", "error": "acme/nobody has no file in force"}
    assert twice[:2] == (
        cli.OK, {"agent": "acme/roller", "version": 5, "bundle": "b1", "changed": False},
    )  # fmt: skip
    assert [grant.what for grant in done.grants] == [
        "bundle b2 as shadow", "bundle b2 at 25 %", "bundle b2 at 100 %", "back to bundle b1",
    ]  # fmt: skip
    assert (done.grants[2].by, done.grants[2].shown) == (
        "carl",
        "10 runs on 1 day, 90 % of them well",
    )
    assert done.grants[3].reason == "it lies"


def test_a_jump_names_who_and_why(
    settings: Settings, keys: Keys, tell: Tell, tmp_path: Path
) -> None:
    """It asks no gate, so somebody answers for it; what is under way is not begun again by accident."""
    publish(tell, tmp_path, "jumper")
    jump = ("rollout", "acme/jumper", "--to", "b2", "--share", "0.5")
    nobody = tell(*jump)
    done = tell(*jump, "--by", "ann", "--reason", "a fix that can't wait")
    others = [
        tell("rollout", "acme/jumper", "--to", "b3"),
        tell("rollout", "acme/nobody", "--to", "b3"),
        tell(*jump[:3], "b/3", "--share", "0.1", "--by", "ann", "--reason", "x"),
    ]
    kept = file(settings, keys, "jumper")
    stale = rolled_back(replace(kept, version=1))
    with pytest.raises(Unearned, match="meanwhile"):
        asyncio.run(registration.publish(settings, keys, [stale], decided=True))

    assert (nobody[0], done[0]) == (cli.USAGE, cli.OK)
    assert [code for code, _, _ in others] == [cli.USAGE] * 3
    assert "b2 is being rolled out" in others[0][2]
    assert kept.bundles["canary"].share == 0.5
    assert [(grant.by, grant.reason) for grant in kept.grants] == [("ann", "a fix that can't wait")]


def test_a_person_answers_on_the_command_line(
    settings: Settings, keys: Keys, tell: Tell, tmp_path: Path
) -> None:
    """The call is listed while it waits; only who is named may answer; then it runs, or does not."""
    publish(tell, tmp_path, "asker")
    agent = Agent(
        settings, keys, "asker", environment="staging", decision_args={"crm.pay": ["amount"]}
    )  # fmt: skip
    agent.obeys(1)
    said: list[str] = []

    def call() -> None:
        with agent.fuse.trace(user="carl", bundle="b1") as trace:
            while not said:
                try:
                    with trace.tool("crm.pay", {"amount": 50.0}, patience=START_SECONDS):
                        said.append("ran")
                except ToolDenied as refusal:
                    if refusal.gate:  # else no worker was there yet
                        said.append(refusal.reason)

    for words, outcome in ((["--reason", "as agreed"], "ran"), (["--refuse"], "refused by ann")):
        said.clear()
        going = threading.Thread(target=call, daemon=True)
        going.start()
        waiting = until(
            lambda: [one for one in _listed(tell) if one["agent"] == "acme/asker"], "nobody asked"
        )
        approval = waiting[0]["approval_id"]
        stranger = tell("approve", approval, "--by", "bob")
        answer = tell("approve", approval, "--by", "ann", *words)
        going.join(START_SECONDS)
        late = tell("approve", approval, "--by", "ann")

        assert (waiting[0]["tool"], waiting[0]["rule"]) == ("crm.pay", "dear")
        assert stranger[0] == cli.NO
        assert "bob may not decide" in stranger[2]
        assert answer[0] == cli.OK
        assert said[0].startswith(outcome)
        assert late[0] == cli.NO
    agent.fuse.close()
    assert _listed(tell) == []


def _listed(tell: Tell) -> list[Any]:
    code, rows, _ = tell("approvals", "list")
    assert code == cli.OK
    return rows if isinstance(rows, list) else [rows]
