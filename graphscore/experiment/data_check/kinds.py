"""Sentences about records, counted by kind."""

from __future__ import annotations

import re
from typing import Any

_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|\[[^][]*,[^][]*\]""")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?!\w)")


class Kinds:
    """Sentences by kind: those that differ in numbers and quoted names alone are one."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def add(self, place: str, sentence: str) -> None:
        """Add a sentence about the record at a place."""
        kind = _NUMBER.sub("N", _QUOTED.sub("...", sentence))
        entry = self.found.setdefault(kind, {"kind": kind, "count": 0, "places": [], "example": sentence})
        entry["count"] += 1
        entry["places"].append(place)

    def table(self) -> list[dict[str, Any]]:
        """List the kinds with ``count``, ``places`` and the first sentence, ``example``; the most frequent first."""
        return sorted(self.found.values(), key=lambda entry: -entry["count"])
