"""The scenario of made up answers is true: what the SDK would tell of its texts."""

from random import Random

from ingest.simulate.process import Work
from ingest.simulate.roles import fleet
from ingest.simulate.scenarios import SCENARIOS
from ingest.simulate.script import Act
from tracefuse.fingerprints import fingerprints


def test_a_made_up_answer_names_what_no_result_told() -> None:
    """In healthy runs each id of the answer stands in the result; the faulty one's answer has others too."""
    for role in fleet(["made_up_answer"], healthy=0):
        job, warm = Work(role, Random(7)), SCENARIOS[role.scenario].warm
        for run in range(warm + 5):
            script = job.next(1.0, 1e6)
            (read,) = (move for move in script.moves if isinstance(move, Act))
            told_of, named = (
                {one.hash for one in fingerprints(b"key", [("", text)])[0]}
                for text in (read.result["case"], script.answer)
            )

            assert told_of <= named
            assert len(named - told_of) == (2 if role.faulty and run >= warm else 0)
