"""The failure catalogue as people read it: made from the code, so it is never behind it."""

import re
from pathlib import Path

from dashboards.failure_page import page
from detectors import CATALOGUE
from detectors.failures import WATCHED

ROOT = Path(__file__).parents[3]


def test_the_page_in_the_tree_is_the_one_that_the_code_makes() -> None:
    """`tracefuse failures page > docs/failures.md` brings it up to date."""
    assert (ROOT / "docs" / "failures.md").read_text("utf-8") == page()


def test_every_failure_has_its_section() -> None:
    """No detector, and nothing that the owner of an agent finds, is left out."""
    named = re.findall(r"^### .* \(`(\w+)`", page(), re.MULTILINE)

    assert named == [*CATALOGUE, *WATCHED]


def test_every_link_leads_somewhere() -> None:
    """Files of detectors and tests exist, and the test knows the detector that links to it."""
    links = re.findall(r"\]\(\.\./([^)]+)\)", page())

    assert len(links) == 2 * (len(CATALOGUE) + len(WATCHED))
    for link in links:
        assert (ROOT / link).is_file(), link
