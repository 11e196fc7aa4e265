"""Report of a sampling job: a summary, and an entry for each input, written without keeping them in memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore.generate.outcome import Cost
from graphscore.runtime.atomic import replacing

NUM_SHOWN = 3
"""Number of failures and of notes in the summary of a job; its report has all."""


class Summary:
    """Sums over the inputs of a job, and the first few failures and notes."""

    def __init__(self) -> None:
        self.num_written = self.num_sampled = self.num_failed = self.num_marked = self.num_notes = self.num_samples = 0
        self.methods = Counter[str]()
        self.cost = Cost()
        self.failures: list[tuple[str, str]] = []
        self.notes: list[tuple[str, str]] = []
        self.first = ""
        self.halved_at: str | None = None

    def add(self, line: Mapping[str, Any]) -> None:
        """Add the journal's line of an input."""
        entry, costs = line["entry"], line["costs"]
        failed = [] if entry["failure"] is None else [(entry["input"], entry["failure"])]
        noted = [(entry["input"], note) for note in entry["notes"]]
        self.num_written += entry["written"]
        self.num_sampled += bool(costs["sampled"])
        self.num_samples += costs["sampled"]
        self.num_failed += len(failed)
        self.num_notes += len(noted)
        self.num_marked += entry["marked"]
        self.methods.update(entry["methods"])
        self.cost += Cost(entry["evaluations"], costs["seconds"], costs["workers"], costs.get("max_edges"))
        if self.cost.max_edges is not None:
            self.halved_at = self.halved_at or entry["input"]
        self.failures += failed[: NUM_SHOWN - len(self.failures)]
        self.notes += noted[: NUM_SHOWN - len(self.notes)]
        self.first = self.first or next((f"{name}: {reason}" for name, reason in [*failed, *noted]), "")

    def report(self, seconds: Mapping[str, float]) -> dict[str, Any]:
        """Return the counts and costs for the report."""
        return {
            "num_written": self.num_written,
            "num_sampled": self.num_sampled,
            "num_failed": self.num_failed,
            "num_marked": self.num_marked,
            "methods": dict(self.methods),
            "evaluations_per_sample": self.cost.evaluations / max(1, self.num_samples),
            "seconds": {"load": seconds["load"], **self.cost.seconds, "write": seconds["write"]},
            "workers": self.cost.workers,
            "memory_ran_out": None
            if self.halved_at is None
            else {"input": self.halved_at, "max_edges": self.cost.max_edges},
        }


def write_report(report: Mapping[str, Any], entries: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write the report as a JSON file, whole or not at all, without keeping the entries in memory."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f'{_json(report)[:-2]},\n "inputs": [')
        for number, entry in enumerate(entries):
            file.write(("," if number else "") + f"\n {_json(entry)}".replace("\n", "\n "))
        file.write("\n ]\n}\n")


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)


def moved(samples: Sequence[Data]) -> dict[str, float]:
    """Largest distance of the samples of an input from what was given, as far as it was measured, in Angstrom."""
    names = [name for name in ("fixed_rmsd", "start_rmsd") if samples and name in samples[0]]
    return {name: max(sample[name] for sample in samples) for name in names}
