"""Benchmark of a conformer model, and of RDKit's baselines, on reference ensembles of test molecules."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from graphscore.data import load_dataset
from graphscore.data.writers import check_output, write_json
from graphscore.generate.outcome import Cost, Outcome
from graphscore.molecules.baselines import BASELINES, Baseline
from graphscore.molecules.conformers import ConformerModel, ConformerRequest
from graphscore.molecules.evaluate import Measures, Method, evaluate_methods
from graphscore.molecules.graph import flat_smiles, mol_from_data
from graphscore.molecules.metrics.comparison import Attempt
from graphscore.registry import Trusted, find
from graphscore.runtime.workers import Progress

DATASET = "gfn2-ensembles"
MODEL = "model"


def benchmark(
    source: str,
    out: Path | None = None,
    *,
    part: str = "test",
    limit: int | None = None,
    checkpoint: Path | None = None,
    trust: Trusted = (),
    device: str = "auto",
    request: ConformerRequest | None = None,
    measures: Measures | None = None,
    baselines: Sequence[str] = (),
    sampling: Progress | None = None,
    evaluating: Progress | None = None,
) -> dict[str, Any]:
    """Benchmark a conformer model: generate conformers of a list of molecules and compare them with their ensembles.

    The protocol sets the number of conformers.

    Args:
        source: List of the data set ``gfn2-ensembles``, such as ``"geom-qm9"``.
        out: File for the report, ``*.json``.
        part: ``"test"``, or ``"val"`` for choices that must not be made on test molecules.
        limit: Number of molecules, the first of the list; all by default.
        checkpoint: Model file or folder of a run; by default the weights that come with the package.
        trust: For models with custom components, see :func:`graphscore.experiment.pretrained.load_model`.
        device: Device of the network, see :func:`graphscore.runtime.settings.choose_device`.
        request: Sampling options; ``num`` is ignored.
        measures: Metrics to compute.
        baselines: Keys of :data:`~graphscore.molecules.baselines.BASELINES`, with the same seed.
        sampling: Called with (conformers done, total).
        evaluating: Called with (molecules done, total).

    Returns:
        ``source``, ``part``, ``sampling``: everything that the conformers depend on, and their cost (``seconds`` by
        stage, ``conformers_per_second`` of wall time without loading, ``threads``, ``workers``,
        ``evaluations_per_sample``); ``versions``; and ``methods``: by name the report of
        :func:`~graphscore.molecules.evaluate.evaluate_methods`, first that of the model.

    Raises:
        ValueError: If there is no such list, part or baseline, the list has no molecules in the part, or as for
            :meth:`ConformerModel.load <graphscore.molecules.conformers.ConformerModel.load>` and
            :class:`~graphscore.molecules.evaluate.Measures`.
        FileNotFoundError: If there is no checkpoint.
        ImportError: If PoseBusters is wanted but not installed.
    """
    request, measures = request or ConformerRequest(), measures or Measures()
    versions = measures.versions()
    makers = {name: find(name, BASELINES, "baseline") for name in baselines}
    out = None if out is None else check_output(out, [".json"])
    if part not in ("val", "test"):
        raise ValueError(f"part must be 'val' or 'test', but is {part!r}: models know the others")
    started = time.perf_counter()
    model = ConformerModel.load(checkpoint, device=device, trust=trust)
    loading = time.perf_counter() - started
    groups = load_dataset(DATASET, sources=[source]).groups(part)[:limit]
    if not groups:
        raise ValueError(f"The list {source!r} has no molecules in the part {part!r}")
    per_reference = measures.protocol.per_reference
    nums = [per_reference * len(group) for group in groups]
    started = time.perf_counter()
    outcomes = list(model.sample([group[0] for group in groups], request, nums=nums, progress=sampling))
    costs = _costs(outcomes, loading, time.perf_counter() - started)
    references = {flat_smiles(mol_from_data(group[0])): group for group in groups}
    made = dict(zip(references, _attempts(outcomes, nums), strict=True))
    methods: dict[str, Method] = {MODEL: made}
    methods |= {name: Baseline(make, per_reference, request.seed) for name, make in makers.items()}
    report = {
        "source": source,
        "part": part,
        "sampling": model.describe(request) | costs,
        "versions": versions,
        "methods": evaluate_methods(references, methods, measures, evaluating),
    }
    if out is not None:
        write_json(report, out)
    return report


def _attempts(outcomes: Sequence[Outcome], nums: Sequence[int]) -> list[list[Attempt]]:
    """The samples of each molecule, with the reason of failure in place of each missing one."""
    return [
        [*o.samples, *[o.failure or "it was not made"] * (num - len(o.samples))]
        for o, num in zip(outcomes, nums, strict=True)
    ]


def _costs(outcomes: Sequence[Outcome], loading: float, sampling: float) -> dict[str, Any]:
    """Costs of sampling: the wall time, divided among the stages in proportion to the time of each."""
    total = sum((outcome.cost for outcome in outcomes), Cost())
    num, share = sum(len(outcome.samples) for outcome in outcomes), sampling / max(1e-9, sum(total.seconds.values()))
    return {
        "evaluations_per_sample": total.evaluations / max(1, num),
        "seconds": {"load": loading} | {name: share * spent for name, spent in total.seconds.items()},
        "conformers_per_second": num / sampling,
        "threads": torch.get_num_threads(),
        "workers": total.workers,
    }
