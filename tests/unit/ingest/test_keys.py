"""Keys of a machine: made once, whole, for their owner alone; and a rotation that loses nobody."""

from pathlib import Path

import pytest

from ingest.keys import AUTHORS, create, kid_of, load, rotate, use
from tracefuse.errors import ConfigError
from tracefuse.signing import CommandVerifier


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_keys_are_made_once(tmp_path: Path) -> None:
    """Again they are the same; nobody else may read them."""
    made = create(tmp_path / "keys")

    assert create(tmp_path / "keys") == made == load(tmp_path / "keys")
    assert names(tmp_path / "keys") == [
        "auto.key", "human.key", "master.key", "registry.key", "second.key",
    ]  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_an_older_folder_gets_what_it_lacks(tmp_path: Path) -> None:
    """Its keys stay; only the missing one is made."""
    made = create(tmp_path)
    (tmp_path / "registry.key").unlink()

    with pytest.raises(ConfigError, match=r"registry\.key"):
        load(tmp_path)
    again = create(tmp_path)
    assert (again.master, again.auto_seed, again.human_seed) == (
        made.master, made.auto_seed, made.human_seed,
    )  # fmt: skip
    assert again.registry_seed != made.registry_seed


def test_an_agent_pins_all_public_keys(tmp_path: Path) -> None:
    """Workers, people and the registry: so it can check its own file too."""
    keys = create(tmp_path)

    assert set(keys.credential("acme", "refunds").command_keys) == {
        "auto/1", "human/1", "human/second/1", "registry/1",
    }  # fmt: skip
    assert keys.signer("registry").public == keys.command_keys["registry/1"]


@pytest.mark.parametrize("author", AUTHORS)
def test_a_rotation_loses_nobody(tmp_path: Path, author: str) -> None:
    """The next key is known before it signs; the former is accepted after it has signed."""
    before = create(tmp_path)
    old = before.signer(author)

    assert rotate(tmp_path, author) == kid_of(author, 2)
    waiting = load(tmp_path)
    assert waiting.signer(author).kid == kid_of(author, 1)
    assert set(waiting.command_keys) - set(before.command_keys) == {kid_of(author, 2)}

    assert use(tmp_path, author) == kid_of(author, 2)
    after = load(tmp_path)
    new = after.signer(author)
    assert after.command_keys == waiting.command_keys
    assert new.kid == kid_of(author, 2)
    assert create(tmp_path) == after
    for signer in (old, new):  # by whom knew both, in whichever order their processes started
        verifier = CommandVerifier(waiting.command_keys)
        assert verifier.verify(signer.kid, "key", b"payload", signer.sign("key", b"payload"))


def test_a_former_key_is_accepted_until_it_is_removed(tmp_path: Path) -> None:
    """Its secret is gone at once; its public half goes when somebody removes the file."""
    old = create(tmp_path).signer("registry")
    rotate(tmp_path, "registry")
    use(tmp_path, "registry")

    assert "registry.key" not in names(tmp_path)
    assert (tmp_path / "registry.1.pub").read_bytes() == old.public
    (tmp_path / "registry.1.pub").unlink()
    assert set(load(tmp_path).command_keys) == {
        "auto/1", "human/1", "human/second/1", "registry/2",
    }  # fmt: skip


def test_generations_go_on(tmp_path: Path) -> None:
    """A number is never used twice, also when the former key was removed."""
    create(tmp_path)
    for number in (2, 3, 4):
        assert rotate(tmp_path, "auto") == f"auto/{number}"
        assert use(tmp_path, "auto") == f"auto/{number}"

    assert sorted(kid for kid in load(tmp_path).command_keys if kid.startswith("auto/")) == [
        "auto/1", "auto/2", "auto/3", "auto/4",
    ]  # fmt: skip


def test_steps_out_of_order_are_refused(tmp_path: Path) -> None:
    """Two keys waiting, none waiting, or a key that does not exist."""
    create(tmp_path)
    with pytest.raises(ConfigError, match="no next auto key waits"):
        use(tmp_path, "auto")
    rotate(tmp_path, "auto")
    with pytest.raises(ConfigError, match="auto/2 waits already"):
        rotate(tmp_path, "auto")
    with pytest.raises(ConfigError, match="no stranger key"):
        rotate(tmp_path, "stranger")


def test_a_key_that_somebody_else_holds_is_not_missing(tmp_path: Path) -> None:
    """With its public half alone, what it signs is accepted, nothing is signed, none is made."""
    second = create(tmp_path).signer("second")
    (tmp_path / "second.key").rename(tmp_path / "second.1.pub")
    (tmp_path / "second.1.pub").write_bytes(second.public)
    here = create(tmp_path)

    assert here == load(tmp_path)
    assert here.command_keys[second.kid] == second.public
    assert second.kid not in here.signing
    with pytest.raises(ConfigError, match="no second key here"):
        here.signer("second")


def test_without_a_second_person_only_their_signature_is_missing(tmp_path: Path) -> None:
    """A folder from before goes on working; `create` makes the key."""
    made = create(tmp_path)
    (tmp_path / "second.key").unlink()
    here = load(tmp_path)

    assert set(made.command_keys) - set(here.command_keys) == {"human/second/1"}
    assert here.signer("human").public == made.signer("human").public
    assert create(tmp_path).signer("second").kid == "human/second/1"


def test_a_torn_key_is_named(tmp_path: Path) -> None:
    """Better no start than a key of half its length."""
    create(tmp_path)
    (tmp_path / "auto.key").write_bytes(b"short")

    with pytest.raises(ConfigError, match=r"auto\.key: 5 bytes, not 32"):
        load(tmp_path)
