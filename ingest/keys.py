"""Keys of one machine: a master key, and signing keys by generation, in files only their owner reads.

Production mounts the same files from a secret store. A signing key ``auto`` begins as ``auto.key`` and is
called ``auto/1``; its second generation is ``auto.2.key``. What signed before is kept as a public key,
``auto.1.pub``, and accepted until somebody removes the file.

    rotate ──► next generation is known to all, the first one signs ──► use ──► the next one signs
"""

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tracefuse.credentials import Credential, issue
from tracefuse.errors import ConfigError
from tracefuse.signing import CommandSigner, CommandVerifier, derive

MASTER = "master"
# Who signs: the workers their commands, the person at this machine, a second person where one is not
# enough, whoever publishes agents' files.
AUTHORS = ("auto", "human", "second", "registry")
BYTES = 32
_FILE = re.compile(r"(auto|human|second|registry)(?:\.([1-9][0-9]{0,8}))?\.(key|pub)")


@dataclass(frozen=True, slots=True)
class Keys:
    """The master key and the seeds that sign, 32 bytes each.

    Parameters
    ----------
    second_seed
        Empty where the second person keeps it elsewhere, as in production.
    generations
        Of the seeds, by author; 1 where nothing is said.
    accepted
        Public keys besides, by key id: what signed before, and what will sign next.
    """

    master: bytes
    auto_seed: bytes
    human_seed: bytes
    registry_seed: bytes
    second_seed: bytes = b""
    generations: Mapping[str, int] = field(default_factory=dict)
    accepted: Mapping[str, bytes] = field(default_factory=dict)

    def signer(self, author: str) -> CommandSigner:
        """Signer of the workers (``auto``), of a person (``human``, ``second``), or of agents' files.

        Raises
        ------
        ConfigError
            To the operator: only the public half of this key is here.
        """
        seed = self._seeds()[author]
        if not seed:
            raise ConfigError(f"no {author} key here: whoever holds it must sign")
        return CommandSigner(kid_of(author, self.generations.get(author, 1)), seed)

    def _seeds(self) -> dict[str, bytes]:
        return {
            "auto": self.auto_seed, "human": self.human_seed, "second": self.second_seed,
            "registry": self.registry_seed,
        }  # fmt: skip

    @property
    def signing(self) -> set[str]:
        """Ids of the keys that sign here."""
        return {self.signer(author).kid for author, seed in self._seeds().items() if seed}

    @property
    def command_keys(self) -> dict[str, bytes]:
        """Public keys that agents and workers pin."""
        signers = [self.signer(author) for author, seed in self._seeds().items() if seed]
        return {**self.accepted, **{signer.kid: signer.public for signer in signers}}

    def verifier(self) -> CommandVerifier:
        """Checks what any of these keys has signed."""
        return CommandVerifier(self.command_keys)

    @property
    def state_key(self) -> bytes:
        """Authenticates checkpoints before anything of them is loaded."""
        return derive(self.master, "state")

    def credential(self, tenant: str, agent_id: str) -> Credential:
        return issue(self.master, tenant, agent_id, self.command_keys)


def kid_of(author: str, generation: int) -> str:
    """Key id of a signing key. A person's begins with ``human/``, whoever it is.

    >>> kid_of("auto", 1), kid_of("human", 2), kid_of("second", 1)
    ('auto/1', 'human/2', 'human/second/1')
    """
    return f"human/{author}/{generation}" if author == "second" else f"{author}/{generation}"


def create(folder: Path) -> Keys:
    """Keys of a folder; what is missing is made once. Two processes may call it at once.

    A key whose public half alone is there is not missing: somebody else holds it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (MASTER, *AUTHORS):
        if name == MASTER or not (_seeds(folder, name) or _found(folder, name, "pub")):
            with contextlib.suppress(FileExistsError):
                _write(folder / f"{name}.key", os.urandom(BYTES))
    return load(folder)


def load(folder: Path) -> Keys:
    """Keys of a folder. Raises `ConfigError` to the operator when one is missing or torn."""
    seeds: dict[str, bytes] = {}
    generations: dict[str, int] = {}
    accepted: dict[str, bytes] = {}
    for author in AUTHORS:
        paths, public = _seeds(folder, author), _found(folder, author, "pub")
        if not paths and not public:
            if (
                author == "second"
            ):  # nobody shares the work here, as in a folder of an earlier build
                seeds[author] = b""
                continue
            paths = {1: folder / f"{author}.key"}  # to be missed by its name
        generations[author] = min(paths or public)
        seeds[author] = _read(paths[min(paths)]) if paths else b""
        for number, path in paths.items():
            kid = kid_of(author, number)
            accepted[kid] = CommandSigner(kid, _read(path)).public
        for number, path in public.items():
            accepted.setdefault(kid_of(author, number), _read(path))
    return Keys(
        _read(folder / f"{MASTER}.key"), seeds["auto"], seeds["human"], seeds["registry"],
        seeds["second"], generations, accepted,
    )  # fmt: skip


def rotate(folder: Path, author: str) -> str:
    """Make the next generation of a key: accepted from now on, and not signing yet. Its key id.

    Raises
    ------
    ConfigError
        To the operator: there is no such key, or a next generation waits already.
    """
    seeds = _known(folder, author)
    if len(seeds) > 1:
        waits = kid_of(author, max(seeds))
        raise ConfigError(f"{waits} waits already: `tracefuse keys use {author}`")
    number = max([*seeds, *_found(folder, author, "pub")]) + 1
    _write(folder / f"{author}.{number}.key", os.urandom(BYTES))
    return kid_of(author, number)


def use(folder: Path, author: str) -> str:
    """Sign with the next generation; of the former only the public key stays. The new key id."""
    seeds = _known(folder, author)
    if len(seeds) < 2:
        raise ConfigError(f"no next {author} key waits: `tracefuse keys rotate {author}`")
    number = min(seeds)
    public = CommandSigner("", _read(seeds[number])).public
    with contextlib.suppress(FileExistsError):  # cut short the last time
        _write(folder / f"{author}.{number}.pub", public)
    seeds[number].unlink()
    return kid_of(author, min(seeds.keys() - {number}))


def _known(folder: Path, author: str) -> dict[int, Path]:
    seeds = _seeds(folder, author)
    if not seeds:
        raise ConfigError(f"no {author} key in {folder}: `tracefuse keys create`")
    return seeds


def _seeds(folder: Path, author: str) -> dict[int, Path]:
    return _found(folder, author, "key")


def _found(folder: Path, author: str, kind: str) -> dict[int, Path]:
    """Files of a key by generation."""
    names = [_FILE.fullmatch(path.name) for path in folder.glob(f"{author}.*")]
    return {
        int(name[2] or 1): folder / name[0]
        for name in names
        if name and name[1] == author and name[3] == kind
    }


def _write(path: Path, data: bytes) -> None:
    """Make a file that is there whole or not at all. Raises `FileExistsError`."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    finally:
        draft.unlink()


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"key {path}: {error.strerror}") from error
    if len(data) != BYTES:
        raise ConfigError(f"key {path}: {len(data)} bytes, not {BYTES}")
    return data
