"""Files in, files out: sampling with a trained model, and evaluation of what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore import __version__
from graphscore.build import build_sampler, build_transform, load_model
from graphscore.data.dataset import is_molecule
from graphscore.data.readers import Failure, ReadResult, read, read_smiles
from graphscore.data.writers import check_output, write, write_json
from graphscore.generate import Generated, generate


def read_inputs(smiles: Sequence[str], path: Path | None) -> ReadResult:
    """Read what is to be sampled, from SMILES strings or a file.

    Raises:
        ValueError: If both or neither are given, a SMILES string is wrong, or no record of the file can be used.
    """
    if bool(smiles) == (path is not None):
        raise ValueError(
            "Expected either SMILES strings or --input FILE" + (", not both" if smiles else ", but got neither")
        )
    result = read_smiles(smiles) if path is None else read(path)
    if result.failures and (path is None or not result.items):
        first = result.failures[0]
        raise ValueError(f"{first.source}, {first.location}: {first.reason}")
    return result


def sample_file(
    checkpoint: Path,
    inputs: ReadResult,
    out: Path,
    *,
    num: int = 1,
    sampler: str | None = None,
    num_steps: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Sample inputs with a trained model, and write the samples and a report of all inputs.

    Args:
        checkpoint: Model file or folder of a run.
        inputs: What was read.
        out: Output file; the report goes beside it, ``<out>.report.json``.
        num: Samples of each input.
        sampler: Name of the sampler; the model's default if ``None``.
        num_steps: Sampling steps; the model's default if ``None``.
        seed: Seed of the samples.
        progress: Called with (samples done, samples in all).

    Returns:
        The report: one entry per input, in order, and totals.

    Raises:
        ValueError: If the output's format is unknown or does not fit, there is no such sampler, or nothing could be
            sampled.
        FileNotFoundError: If there is no checkpoint.
    """
    _check_fit(inputs, check_output(out))
    model, config, info = load_model(checkpoint)
    config = config.with_sampling(sampler, num_steps)
    started = time.monotonic()
    result = generate(
        build_sampler(config, model), inputs.items, num=num, seed=seed, transform=build_transform(config),
        known=info["known"], progress=progress,
    )  # fmt: skip
    entries = _entries(inputs, result)
    samples = [sample for group in result.samples for sample in group]
    if not samples:
        raise ValueError(f"Nothing could be sampled: {entries[0]['input']}: {entries[0]['failure']}")
    write(samples, out)
    report = {
        "path": f"{out}.report.json",
        "num_written": len(samples),
        "num_sampled": sum(bool(group) for group in result.samples),
        "num_failed": sum(entry["failure"] is not None for entry in entries),
        "num_wrong_stereo": sum(entry["wrong_stereo"] for entry in entries),
        "seed": seed,
        "sampler": config.sampling.sampler.name,
        "num_steps": config.sampling.num_steps,
        "seconds": time.monotonic() - started,
        "version": __version__,
        "inputs": entries,
    }
    write_json(report, Path(report["path"]))
    return report


def evaluate_files(generated: Path, reference: Path, out: Path | None = None) -> dict[str, Any]:
    """Compare the conformers of two files, molecule by molecule.

    Molecules are matched by their SMILES without stereo marks: a conformer of wrong stereo counts, as a bad one.

    Args:
        generated: Generated conformers.
        reference: Reference conformers.
        out: Where to write the report.

    Returns:
        The report of :func:`~graphscore.metrics.conformers.evaluate_conformers` and ``skipped``: each record that could
        not be read, has no coordinates or has no reference. Reference molecules without generated ones count as
        uncovered.

    Raises:
        ValueError: If a file cannot be read, or they have no molecule in common.
    """
    from graphscore.metrics.conformers import evaluate_conformers

    if out is not None and out.suffix != ".json":
        raise ValueError(f"The report is JSON; expected a name that ends in .json, but got {out}")
    skipped: list[Failure] = []
    ours, theirs = _by_molecule(generated, skipped), _by_molecule(reference, skipped)
    if not set(ours) & set(theirs):
        raise ValueError(f"{generated} and {reference} have no molecule in common")
    for smiles in ours.keys() - theirs.keys():
        skipped.append(Failure(str(generated), smiles, "no reference conformer of this molecule"))
    report = evaluate_conformers((conformers, ours.get(smiles, [])) for smiles, conformers in theirs.items())
    report["skipped"] = [asdict(failure) for failure in skipped]
    if out is not None:
        write_json(report, out)
    return report


def _check_fit(inputs: ReadResult, out: Path) -> None:
    if out.suffix.lower() == ".pt":
        return
    for number, item in enumerate(inputs.items, start=1):
        if not is_molecule(item):
            raise ValueError(f"{out} takes molecules, but input {number} has no `z` and `bond`; write a .pt file")


def _entries(inputs: ReadResult, result: Generated) -> list[dict[str, Any]]:
    """The report's entry of each input, those that could not be read last."""
    entries = [
        {
            "input": _label(item, number),
            "written": len(samples),
            "failure": failure,
            "wrong_stereo": _count_wrong_stereo(samples),
        }
        for number, (item, samples, failure) in enumerate(zip(inputs.items, *result, strict=True), start=1)
    ]
    return entries + [
        {"input": f"{failure.source}, {failure.location}", "written": 0, "failure": failure.reason, "wrong_stereo": 0}
        for failure in inputs.failures
    ]


def _count_wrong_stereo(samples: Sequence[Data]) -> int:
    """How many samples have another stereochemistry than their SMILES, which the network is not told."""
    if not samples or not is_molecule(samples[0]) or not set(samples[0].get("smiles") or "") & set("@/\\"):
        return 0
    from graphscore.metrics.conformers import keeps_stereo

    return sum(not keeps_stereo(sample) for sample in samples)


def _by_molecule(path: Path, skipped: list[Failure]) -> dict[str, list[Data]]:
    from graphscore.data.molecules import flat_smiles, mol_from_data

    result = read(path)
    skipped += result.failures
    molecules: dict[str, list[Data]] = {}
    for number, item in enumerate(result.items, start=1):
        if not is_molecule(item) or "pos" not in item:
            skipped.append(Failure(str(path), f"record {number}", "not a molecule with 3-D coordinates"))
            continue
        molecules.setdefault(flat_smiles(mol_from_data(item)), []).append(item)
    if not molecules:
        reason = f": {skipped[-1].reason}" if skipped else ""
        raise ValueError(f"{path} has no molecule with 3-D coordinates{reason}")
    return molecules


def _label(item: Data, number: int) -> str:
    return getattr(item, "name", "") or getattr(item, "smiles", "") or f"graph {number}"
