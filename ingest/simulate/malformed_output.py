"""Answers that have not the form which the caller was promised; the user gets the declared fallback."""

from dataclasses import replace
from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Script

FORM = dict[str, str]
FALLBACK = '{"answer": "A colleague will answer you today."}'
_EVERY = 3


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """A run that ends in chatter where JSON is due; the runs in between answer in form."""
    healthy = work.script(task, random)
    if moment.run % _EVERY:
        return replace(healthy, answer=f'{{"answer": "{healthy.answer}"}}', form=FORM)
    chatter = f"Sure, here is the JSON: {healthy.answer}"
    return replace(healthy, answer=chatter, form=FORM, malformed=True)


SCENARIO = Scenario(
    "malformed_output", expected="fallback", scope="", must_stop=True, detector="output",
    task="invoices", distort=distort, fault_at_s=4.5, twin=False,
    declares={"fallbacks": {"output": FALLBACK}},
)  # fmt: skip
