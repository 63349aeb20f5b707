"""What an event tells of a result, put on its step: its form, its kind, what stood in the way. Pure.

Detect holds each against the tool's own past. None holds a word of the result: names of fields are the
declaration's, kinds are keyed hashes.
"""

import re

from ingest.records import Form, Step
from tracefuse.events import Event
from tracefuse.forms import PATH_MAX, WORDS
from tracefuse.hindrances import KINDS, hindrance

TEMPLATE_CHARACTERS = 16
_FOREIGN = re.compile(r"[^\w.\[\]*$-]")  # in names that a tool's server may have chosen


def returned(step: Step, event: Event) -> None:
    """Put what an event tells of its result on the step; what no SDK would send is none."""
    template = event.sketches.get("template")
    if isinstance(template, str) and len(template) <= TEMPLATE_CHARACTERS:
        step.template = template
    form = event.sketches.get("form")
    if form == []:
        step.form = Form()
    elif isinstance(form, list) and list(map(type, form)) == [str, str] and form[0] in WORDS:
        step.form = Form(form[0], _FOREIGN.sub("?", form[1][:PATH_MAX]))


def hindered(step: Step, event: Event) -> None:
    """Put the class of an error on the step; of an older SDK only the error's name tells one."""
    if step.status != "error":
        return
    kind = event.sketches.get("hindered")
    step.hindered = kind if kind in KINDS else hindrance(step.error_type)
