"""Likelihoods of the graphs of a file, as a table in CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from graphscore.cli.inputs import Inputs, label
from graphscore.domains import domain_of
from graphscore.experiment.sampling.likelihood import Likelihood
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.registry import Trusted, resolve
from graphscore.runtime.atomic import replacing
from graphscore.runtime.version import __version__
from graphscore.runtime.workers import Progress

COLUMNS: Sequence[str] = (
    "graph",
    "nats",
    "dimensions",
    "nats_per_dimension",
    "standard_error",
    "evaluations",
    "failure",
)
"""Columns of the table; ``standard_error`` is per dimension, too, and 0 if the divergence was exact."""


class LikelihoodJob:
    """Computes likelihoods of the graphs of a file.

    Args:
        path: File, folder or pattern of graphs with values of the model's fields.
        checkpoint: Run, model file or name of weights.
        options: Options of :meth:`~graphscore.experiment.sampling.pipeline.Pipeline.log_likelihood`.
        format: Format of the file, if its extension does not tell.
        charge: Charge of molecules whose records state none.
        device: Device of the network.
        trust: For models with custom components.

    Attributes:
        summary: What was found, in words; empty before :meth:`run`.

    Raises:
        FileNotFoundError: If there is no such file or model.
        ValueError: If one cannot be read.
    """

    def __init__(
        self,
        path: Path,
        checkpoint: Path,
        options: Mapping[str, Any],
        *,
        format: str | None = None,
        charge: int | None = None,
        device: str = "auto",
        trust: Trusted | None = None,
    ) -> None:
        self.inputs, self.options, self.summary = Inputs((), path, format, charge), dict(options), ""
        kind: type[Pipeline] = resolve(domain_of(self.inputs.first()).pipeline)
        self.pipeline = kind.load(checkpoint, device=device, trust=trust or ())

    def run(self, progress: Progress | None = None, as_json: bool = False) -> str:
        """Compute the table, as CSV or as JSON with the settings.

        Raises:
            ValueError: If no graph has a likelihood.
        """
        total = len(self.inputs)
        found = self.pipeline.log_likelihood(
            self.inputs, **self.options, progress=None if progress is None else lambda done, _: progress(done, total)
        )
        rows = [
            _row(label(item, number), one) for number, (item, one) in enumerate(zip(self.inputs, found, strict=True))
        ]
        if all(row["failure"] for row in rows):
            first = f"{rows[0]['graph']}: {rows[0]['failure']}"
            raise ValueError(f"None of {len(rows):,} graphs has a likelihood under this model; the first, {first}")
        self.summary = _summary(rows)
        if as_json:
            settings = {"checkpoint": str(self.pipeline.checkpoint), "version": __version__, **self.options}
            return json.dumps({"settings": settings, "graphs": rows}, indent=1) + "\n"
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def _row(name: str, one: Likelihood) -> dict[str, Any]:
    values = (one.nats, one.dimension, one.nats_per_dimension, one.error_per_dimension, one.num_evaluations)
    shown = [None if one.failure or not math.isfinite(value) else value for value in values]
    return dict(zip(COLUMNS, (name, *shown, one.failure), strict=True))


def _summary(rows: list[dict[str, Any]]) -> str:
    done = [row for row in rows if row["nats_per_dimension"] is not None]
    failed = f", {len(rows) - len(done)} failed" if len(done) < len(rows) else ""
    if not done:
        return f"no likelihoods{failed}"
    least = min(done, key=lambda row: row["nats_per_dimension"])
    mean = fmean(row["nats_per_dimension"] for row in done)
    return (
        f"{len(done):,} graphs, {mean:.2f} nats per dimension on average, least {least['nats_per_dimension']:.2f} "
        f"({least['graph']}){failed}"
    )


def write_table(path: Path, table: str) -> None:
    """Write a table; a file that exists is replaced."""
    with replacing(path) as temporary:
        temporary.write_text(table, encoding="utf-8")
