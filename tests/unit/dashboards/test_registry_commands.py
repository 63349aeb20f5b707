"""`tracefuse registry` and `tracefuse keys` as far as they need no broker."""

import json
from pathlib import Path

import pytest

from dashboards import cli
from ingest import keys
from ingest.registry import schema
from tracefuse import credentials, honeytokens

GOOD = 'agent = "refunds"\nversion = 2\n[tools.t]\naccess = "write"\n'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRACEFUSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TRACEFUSE_KEYS", raising=False)
    return tmp_path


def test_check_tells_all_mistakes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With file and line, as rows, and the answer is no."""
    (home / "a.toml").write_text(GOOD)
    (home / "b.toml").write_text('agent = "b"\n\nautonomy = 9\nxyz = 1\n')

    assert cli.main(["registry", "check", str(home), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"file": "b.toml", "line": 3, "key": "autonomy", "words": "must be from 0 to 3, not 9"},
        {"file": "b.toml", "line": 4, "key": "xyz", "words": "unknown key"},
    ]
    (home / "b.toml").unlink()
    assert cli.main(["registry", "check", str(home)]) == 0
    assert "default/refunds" in capsys.readouterr().out


def test_check_without_a_folder_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what to set."""
    assert cli.main(["registry", "check", "nowhere"]) == cli.USAGE
    assert "no folder of agent files: nowhere" in capsys.readouterr().err


def test_diff_of_two_files_needs_no_broker(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a review before anything is published."""
    (home / "old.toml").write_text('agent = "refunds"\n')
    (home / "new.toml").write_text(GOOD)
    command = ["registry", "diff", str(home / "new.toml"), "--against", str(home / "old.toml")]

    assert cli.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"agent": "default/refunds", "effect": "wider", "change": "may now call `t` (write)"}
    ]


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """For people and programs the same."""
    for more in ([], ["--json"]):
        assert cli.main(["registry", "schema", *more]) == 0
        assert json.loads(capsys.readouterr().out) == schema()


def test_keys_are_turned_over_in_two_steps(capsys: pytest.CaptureFixture[str]) -> None:
    """Each step says what comes next; nothing is done twice."""
    assert cli.main(["keys", "create"]) == 0
    assert cli.main(["keys", "rotate", "auto"]) == 0
    assert "then `tracefuse keys use auto`" in capsys.readouterr().out
    assert cli.main(["keys", "rotate", "auto"]) == cli.USAGE
    assert cli.main(["keys", "use", "auto"]) == 0
    assert "auto.1.pub" in capsys.readouterr().out
    assert cli.main(["keys", "create", "--json"]) == 0
    signing = {row["kid"]: row["signs"] for row in json.loads(capsys.readouterr().out)}
    assert signing == {
        "auto/1": "no", "auto/2": "yes", "human/1": "yes", "human/second/1": "yes", "registry/1": "yes",
    }  # fmt: skip


@pytest.mark.parametrize("words", [["rotate", "master"], ["rotate"], ["use", "auto"]])
def test_what_can_not_be_rotated_is_refused(words: list[str]) -> None:
    """The master key is in every hash and credential; a next key must wait before it is used."""
    cli.main(["keys", "create"])

    assert cli.main(["keys", *words]) == cli.USAGE


def test_a_credential_is_issued(home: Path) -> None:
    """A file that only its owner reads, with the public keys of everybody who may speak to the agent."""
    path = home / "refunds.json"
    assert cli.main(["keys", "create", "acme/refunds", "--out", str(path)]) == 0
    issued = credentials.load(path)

    assert (issued.tenant, issued.agent_id) == ("acme", "refunds")
    assert set(issued.command_keys) == {"auto/1", "human/1", "human/second/1", "registry/1"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_honeytoken_is_made(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each agent of that tenant knows it by the key of its own credential, and no other tenant's does."""
    cli.main(["keys", "create"])
    capsys.readouterr()
    assert cli.main(["keys", "honeytoken", "acme", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["honeytoken"]
    held = keys.load(home / "home" / "keys")
    known = [
        honeytokens.carried(held.credential(tenant, "refunds").hash_key, made)
        for tenant in ("acme", "other")
    ]

    assert known == [True, False]
