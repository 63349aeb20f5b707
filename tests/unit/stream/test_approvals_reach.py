"""How far back requests are looked for: behind the longest that an agent's file may let one wait."""

import pytest

from ingest.agent_check import BadFile, parse
from stream.people.approvals import CLOCKS_SECONDS, WAITS_SECONDS

RULE = 'agent = "a"\n[[approvals]]\nname = "r"\nwhen = "true"\napprovers = ["ann"]\nexpires_s = '


def test_no_file_lets_a_request_wait_beyond_what_is_read() -> None:
    """A request that lies before the first record that is read could never be answered."""
    longest = WAITS_SECONDS - CLOCKS_SECONDS
    assert parse(RULE + str(longest)).approvals[0].expires_s == longest
    with pytest.raises(BadFile, match="expires_s"):
        parse(RULE + str(longest + 1))
