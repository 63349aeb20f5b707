"""What every command promises: one clear line, an exit code that means something, no trace."""

import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from dashboards import cli
from dashboards.output import Output
from tracefuse.errors import ConfigError, TracefuseError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[BaseException], None]:
    """Makes `tracefuse status` raise."""
    monkeypatch.setenv("TRACEFUSE_HOME", str(tmp_path))
    monkeypatch.delenv("TRACEFUSE_DEBUG", raising=False)

    def install(error: BaseException) -> None:
        def run(*_: object) -> int:
            raise error

        module = types.SimpleNamespace(arguments=lambda parser: None, run=run)
        monkeypatch.setattr("importlib.import_module", lambda name: module)

    return install


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("TRACEFUSE_METRICS_PORT must be a whole number"), cli.USAGE),
        (TracefuseError("agent:a/b is not stopped"), cli.NO),
        (KafkaConnectionError("nobody there"), cli.UNREACHABLE),
        (ConnectionRefusedError("nobody there"), cli.UNREACHABLE),
        (TimeoutError(), cli.UNREACHABLE),
        (KeyError("x"), cli.FAULT),
        (KeyboardInterrupt(), cli.INTERRUPTED),
    ],
)
def test_errors_are_codes(
    failing: Callable[[BaseException], None], error: BaseException, code: int
) -> None:
    """Whoever must act is told apart by the exit code."""
    failing(error)

    assert cli.main(["status"]) == code


def test_an_error_is_one_line(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """No trace reaches the terminal, and the agent's text can't command it."""
    failing(RuntimeError("first\n\x1b[31msecond"))
    cli.main(["status"])
    said = capsys.readouterr()

    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err


def test_a_programs_error_is_json(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json the reason is an object too."""
    failing(ConfigError("key human.key: missing"))
    cli.main(["status", "--json"])

    assert json.loads(capsys.readouterr().err) == {"error": "key human.key: missing", "code": 2}


def test_the_trace_is_there_when_asked_for(
    failing: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRACEFUSE_DEBUG shows where a fault of ours is."""
    failing(KeyError("x"))
    monkeypatch.setenv("TRACEFUSE_DEBUG", "1")

    with pytest.raises(KeyError):
        cli.main(["status"])


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each listed command has its file, takes --json and explains itself."""
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])

    assert ended.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_a_file_of_probes_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A good one is summed up; of a bad one each mistake has its line, and the answer is no."""
    file = tmp_path / "probes.jsonl"
    file.write_text('{"set": "a"}\n{"id": "p", "input": 1, "expect": {}}\n')
    assert cli.main(["probes", "check", str(file)]) == cli.OK
    assert "set a, 1 probes, each every 168 hours" in capsys.readouterr().out
    file.write_text('{"set": "a"}\n{"id": "p", "input": 1}\n{"id": "q"}\n')

    assert cli.main(["probes", "check", str(file)]) == cli.NO
    said = capsys.readouterr().err.splitlines()
    assert [line.partition("line ")[2][:1] for line in said] == ["2", "3"]
    assert cli.main(["probes", "check", str(tmp_path / "none")]) == cli.USAGE


def test_an_unknown_command_is_a_usage_error() -> None:
    """A word that is no command is code 2, as is none."""
    for arguments in (["frobnicate"], []):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)

        assert ended.value.code == cli.USAGE


def test_no_stack_is_a_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`status` says that nothing runs and how to start it; for programs as JSON."""
    monkeypatch.setenv("TRACEFUSE_HOME", str(tmp_path))
    code = cli.main(["status"])
    people = capsys.readouterr().out
    cli.main(["status", "--json"])
    programs = json.loads(capsys.readouterr().out)

    assert code == cli.NO
    assert "tracefuse up" in people
    assert programs["state"] == "down"


def test_tables_align_and_stay_inert(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns line up; control characters of a value are shown, not obeyed."""
    rows = [
        {"scope": "agent:a/b", "text": "x\x1b]0;owned\x07"},
        {"scope": "run:a/b/c", "text": "y"},
    ]
    Output().table(rows, ("scope", "text"), "none")
    lines = capsys.readouterr().out.splitlines()

    assert [line.index(word) for line, word in zip(lines, ("TEXT", "x", "y"), strict=True)] == [
        11
    ] * 3
    assert "\x1b" not in "".join(lines)
    assert "\x07" not in "".join(lines)


@pytest.mark.parametrize("command", ["promote", "rollout", "rollback"])
def test_who_only_edits_a_file_waits_for_no_detectors(command: str) -> None:
    """They bring numerical libraries that take seconds to load; a rollback is to be heard within two."""
    code = (
        f"import sys, dashboards.cli, dashboards.commands.{command}\n"
        "from stream.detect import granting; from stream.people import registration, rollout\n"
        "print([name for name in ('river', 'scipy', 'faust', 'clickhouse_connect') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", [["kill"], ["breaker", "force"]])
def test_an_agent_is_stopped_by_its_name(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both commands take what the other takes: an agent, or any scope."""
    monkeypatch.setenv("TRACEFUSE_HOME", str(tmp_path))
    stopped: list[str] = []

    def force(scope: str, *_: object) -> int:
        stopped.append(scope)
        return 0

    monkeypatch.setattr(f"dashboards.commands.{command[0]}.force", force)
    for what in ("acme/refunds", "tool:acme/refunds/crm.pay"):
        assert cli.main([*command, what, "--reason", "test"]) == 0

    assert stopped == ["agent:acme/refunds", "tool:acme/refunds/crm.pay"]
