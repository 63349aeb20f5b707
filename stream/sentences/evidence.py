"""What a sentence is made of."""

from typing import Any

Evidence = dict[str, Any]
