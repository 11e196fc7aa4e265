"""Benchmark of a conformer model, and of baselines, on reference ensembles of test molecules."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from graphscore.data.writers import check_output, write_json
from graphscore.generate.outcome import Cost, Outcome
from graphscore.molecules.baselines import check_baseline
from graphscore.molecules.conformers import ConformerModel, ConformerRequest
from graphscore.molecules.contenders import MODEL, Drawn, draw_by_baseline, draw_by_model
from graphscore.molecules.evaluate import Measures, evaluate_methods
from graphscore.molecules.graph import flat_smiles, mol_from_data
from graphscore.molecules.references import ensembles
from graphscore.registry import Trusted
from graphscore.runtime.workers import Progress


def benchmark(
    source: str,
    out: Path | None = None,
    *,
    part: str = "test",
    most: int | None = None,
    limit: int | None = None,
    checkpoint: Path | None = None,
    trust: Trusted = (),
    device: str = "auto",
    requests: Mapping[str, ConformerRequest] | None = None,
    measures: Measures | None = None,
    baselines: Sequence[str] = (),
    sampling: Progress | None = None,
    evaluating: Progress | None = None,
) -> dict[str, Any]:
    """Benchmark a conformer model: generate conformers of a list of molecules and compare them with their ensembles.

    The protocol sets the number of conformers. Molecules are given by the stereoisomer of their first reference.

    Args:
        source: List of the data set ``gfn2-ensembles``, such as ``"geom-qm9"``; or a file of reference conformers,
            such as those of GEOM-Drugs.
        out: File for the report, ``*.json``.
        part: Part of a list: ``"test"``, or ``"val"`` for choices that must not be made on test molecules.
        most: Largest number of references of a molecule, evenly spread by their order; all by default.
        limit: Number of molecules, the first of the list; all by default.
        checkpoint: Model file or folder of a run; by default the weights that come with the package.
        trust: For models with custom components, see :func:`graphscore.experiment.pretrained.load_model`.
        device: Device of the network, see :func:`graphscore.runtime.settings.choose_device`.
        requests: Sampling options of the model by the name of a row, see
            :func:`~graphscore.molecules.contenders.requests_of`; ``num`` is ignored. One row by default.
        measures: Metrics to compute.
        baselines: Keys of :data:`~graphscore.molecules.baselines.BASELINES`, with the seed of the first request.
        sampling: Called with (conformers done, total), for each row anew.
        evaluating: Called with (molecules done, total).

    Returns:
        ``source``, ``part``, ``most``, ``skipped``: records of a file that could not be used; ``sampling``: everything
        that the conformers of the first row depend on, and their cost (``seconds`` by stage, ``conformers_per_second``
        of wall time without loading, ``threads``, ``workers``, ``evaluations_per_sample``); ``versions``; and
        ``methods``: by name the report of :func:`~graphscore.molecules.evaluate.evaluate_methods`, first those of the
        model, with ``cpu_seconds`` for a molecule, of all processes, and for the model with its ``options``.

    Raises:
        ValueError: If there is no such list, part or baseline, the list has no molecules in the part, or as for
            :meth:`ConformerModel.load <graphscore.molecules.conformers.ConformerModel.load>` and
            :class:`~graphscore.molecules.evaluate.Measures`.
        FileNotFoundError: If there is no checkpoint, or no such file.
        ImportError: If PoseBusters or a baseline is wanted but not installed.
    """
    requests, measures = requests or {MODEL: ConformerRequest()}, measures or Measures()
    versions = measures.versions()
    makers = {name: check_baseline(name) for name in baselines}
    out = None if out is None else check_output(out, [".json"])
    if part not in ("val", "test"):
        raise ValueError(f"part must be 'val' or 'test', but is {part!r}: models know the others")
    started = time.perf_counter()
    model = ConformerModel.load(checkpoint, device=device, trust=trust)
    loading = time.perf_counter() - started
    groups, skipped = ensembles(source, part, most, limit)
    molecules, nums = [group[0] for group in groups], [measures.protocol.per_reference * len(group) for group in groups]
    drawn, costs, first = dict[str, Drawn](), dict[str, Any](), next(iter(requests.values()))
    for name, request in requests.items():
        started = time.perf_counter()
        drawn[name], outcomes = draw_by_model(model, molecules, nums, request, sampling)
        costs = costs or _costs(outcomes, loading, time.perf_counter() - started)
    for name, make in makers.items():
        drawn[name] = draw_by_baseline(make, molecules, nums, first.seed, first.workers, sampling)
    references = {flat_smiles(mol_from_data(group[0])): group for group in groups}
    made = {name: dict(zip(references, row.attempts, strict=True)) for name, row in drawn.items()}
    methods = evaluate_methods(references, made, measures, evaluating)
    for name, found in methods.items():
        found["cpu_seconds"] = drawn[name].seconds / len(groups)
        if name in requests:
            found["options"] = requests[name].describe()
    report = {
        "source": source,
        "part": part,
        "most": most,
        "skipped": [asdict(failure) for failure in skipped],
        "sampling": model.describe(first) | costs,
        "versions": versions,
        "methods": methods,
    }
    if out is not None:
        write_json(report, out)
    return report


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
