"""Values that are planted to be found: every process of the tenant knows them, and nobody else makes them."""

import pytest

from tracefuse import honeytokens
from tracefuse.drafts import Draft, Run
from tracefuse.evidence import Identity, Witness

KEY = b"k" * 32
TOKEN = honeytokens.token(KEY, b"0123456789")
WHO = Identity(tenant="t", agent_id="a", environment="dev", bundle="b", boot_id="c")


def classes(args: object, key: bytes = KEY, name: str = "tool.request") -> list[str]:
    draft = Draft(name, Run("0" * 32), "0" * 16, 1, tool="web.get", body=args)
    return Witness(WHO, key).event(draft, 1).data_classes


@pytest.mark.parametrize(
    "args",
    [
        {"note": TOKEN}, {"url": f"https://x.example/a?b={TOKEN}&c=1"}, {"rows": [[f"x{TOKEN}y"]]},
        {"note": TOKEN.upper()}, TOKEN,
    ],
)  # fmt: skip
def test_a_call_that_carries_one_says_so(args: object) -> None:
    """Whole, within other text, within a URL, however deep, in capitals."""
    assert classes(args) == ["honeytoken"]


@pytest.mark.parametrize(
    "args", [{"note": "tfh1" + "a" * 32}, {"note": TOKEN[:-1] + "2"}, {"n": 1}, {}]
)
def test_what_only_looks_like_one_is_none(args: object) -> None:
    """The second half proves the first: an attacker can't cry wolf."""
    assert classes(args) == []


def test_another_tenant_knows_nothing_of_it() -> None:
    """Its key is another one."""
    assert classes({"note": TOKEN}, key=b"x" * 32) == []


def test_only_what_a_call_carries_counts() -> None:
    """To read a record with one is what happens to whoever reads all."""
    assert classes(f"customer {TOKEN}", name="tool.result") == []


def test_each_is_another() -> None:
    """By its random half; a wrong number of bytes is a mistake of the caller."""
    assert honeytokens.token(KEY, b"012345678x") != TOKEN
    with pytest.raises(ValueError, match="10 random bytes"):
        honeytokens.token(KEY, b"short")


def test_floods_of_false_ones_hide_none() -> None:
    """All are looked at: 5,000 that prove nothing stand before the one that does."""
    assert honeytokens.carried(KEY, ("tfh1" + "b" * 32 + " ") * 5000 + TOKEN)


def test_what_a_tool_returns_is_confidential_where_its_file_says_so() -> None:
    """Failures too: they quote what was asked."""
    witness = Witness(WHO, KEY, confidential=lambda tool: tool == "crm.find")
    said = {}
    for tool in ("crm.find", "web.get"):
        draft = Draft("tool.result", Run("0" * 32), "0" * 16, 1, tool=tool, body={"n": 1})
        said[tool] = witness.event(draft, 1).data_classes

    assert said == {"crm.find": ["confidential"], "web.get": []}
