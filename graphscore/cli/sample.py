"""Files in, files out: sampling with a trained model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch_geometric.data import Data

from graphscore.cli.checks import check_source
from graphscore.data.readers import ReadResult, read
from graphscore.data.writers import check_output, write, write_json
from graphscore.domains import domain_of
from graphscore.experiment.request import Request
from graphscore.experiment.sampled import Sampled
from graphscore.experiment.sampling import POS, Session
from graphscore.generate.jobs import Progress
from graphscore.molecules.domain import MOLECULES
from graphscore.registry import Trusted, resolve

if TYPE_CHECKING:  # only molecules need RDKit
    from graphscore.molecules.fragments import Fragment


def read_inputs(smiles: Sequence[str], path: Path | None) -> ReadResult:
    """Read what is to be sampled, from SMILES strings or a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As for :func:`~graphscore.cli.checks.check_source`, or if nothing of it can be used.
    """
    check_source(smiles, path)
    result = resolve(MOLECULES.parse)(smiles) if path is None else read(path)
    if not result.items:
        raise ValueError(str(result.failures[0]))
    return result


def read_fragment(smarts: str | None, template: Path | None) -> Fragment | None:
    """Read which atoms are to be held where, if any.

    Raises:
        ValueError: If one is given without the other, or as for :meth:`graphscore.molecules.fragments.Fragment.read`.
        FileNotFoundError: If there is no such file.
    """
    if smarts is None and template is None:
        return None
    if smarts is None or template is None:
        raise ValueError("--fix SMARTS and --from FILE belong together: which atoms are held, and where they are")
    from graphscore.molecules.fragments import Fragment

    return Fragment.read(smarts, template)


class FileJob:
    """Sample inputs with a trained model, and write the samples and a report of all inputs.

    Everything is checked when it is made, before the work begins.

    Args:
        inputs: What was read.
        out: Output file.
        request: What is asked of the model.
        checkpoint: Model file or folder of a run; by default the weights that come with the package.
        report: File of the report, ``*.json``; by default beside the output, ``<out>.report.json``.
        trajectory: File ``*.sdf`` for the steps of all samples, see
            :class:`~graphscore.molecules.trajectory.Trajectories`.
        trust: For models with components of one's own, see :func:`graphscore.experiment.pretrained.load_model`.

    Raises:
        ValueError: If a file cannot be written or does not fit, or as for
            :class:`~graphscore.experiment.sampling.Session`.
        FileNotFoundError: If there is no checkpoint.
    """

    def __init__(
        self,
        inputs: ReadResult,
        out: Path,
        request: Request,
        checkpoint: Path | None = None,
        report: Path | None = None,
        trajectory: Path | None = None,
        trust: Trusted = (),
    ) -> None:
        self.inputs = inputs
        self.out = check_output(out)
        self.report = check_output(Path(f"{out}.report.json") if report is None else report, [".json"])
        self.trajectory = None if trajectory is None else check_output(trajectory, [".sdf"])
        if self.trajectory is not None and self.trajectory.absolute() == out.absolute():
            raise ValueError(f"Samples and trajectory need different files, but both are {out}")
        for number, item in enumerate(inputs.items, start=1):
            if not MOLECULES.owns(item) and (trajectory is not None or out.suffix.lower() != ".pt"):
                file = out if trajectory is None else trajectory
                raise ValueError(f"{file} takes molecules, but input {number} has no `z` and `bond`; write a .pt file")
        if checkpoint is None:
            from graphscore.molecules.conformers import shipped_checkpoint

            checkpoint = shipped_checkpoint()
        self.session = Session(checkpoint, request, trust)
        self.session.check(inputs.items)
        if trajectory is not None and POS not in self.session.model.fields:
            raise ValueError(f"The model places no nodes in space, of which {trajectory} could tell")

    def run(self, progress: Progress | None = None) -> dict[str, Any]:
        """Do the work.

        Args:
            progress: Called with (samples done, samples in all).

        Returns:
            The report: all that the samples depend on, what they cost, and one entry per input, those that could not be
            read last.

        Raises:
            ValueError: If nothing could be sampled, or no sample fits the format of the output.
            KeyboardInterrupt: If it was stopped; it says which files are new. The others are as they were before.
        """
        written: list[Path] = []
        try:
            return self._run(progress, written)
        except KeyboardInterrupt as error:
            files = [path for path in (self.out, self.trajectory, self.report) if path is not None]
            missing = ", ".join(str(path) for path in files if path not in written)
            done = f"wrote {', '.join(map(str, written))}, but" if written else "nothing was kept:"
            raise KeyboardInterrupt(f"stopped; {done} {missing} was not written") from error

    def _run(self, progress: Progress | None, written: list[Path]) -> dict[str, Any]:
        items, trace = self.inputs.items, None
        if self.trajectory is not None:
            from graphscore.molecules.trajectory import Trajectories

            trace = Trajectories(dict((field.name, sde) for field, sde in self.session.model.process)[POS])
        result = self.session(items, progress, trace)
        samples = [sample for group in result.samples for sample in group]
        entries = _entries(self.inputs, result)
        if not samples:
            reasons = [*(entry["failure"] for entry in entries), *(note for notes in result.notes for note in notes)]
            raise ValueError(f"Nothing could be sampled: {entries[0]['input']}: {next(filter(None, reasons))}")
        started = time.perf_counter()
        unfit: dict[int, str] = {}
        write(samples, self.out, skip=unfit.__setitem__)
        written.append(self.out)
        if unfit:
            _leave_out(result, unfit)
            entries = _entries(self.inputs, result)
        if trace is not None and self.trajectory is not None:
            trace.write(self.trajectory, items)
            written.append(self.trajectory)
        report = {
            **self.session.describe(),
            "path": str(self.report),
            "output": str(self.out),
            "num_written": len(samples) - len(unfit),
            "num_sampled": sum(bool(group) for group in result.samples),
            "num_failed": sum(entry["failure"] is not None for entry in entries),
            "num_wrong_stereo": sum(entry["wrong_stereo"] for entry in entries),
            "evaluations_per_sample": result.evaluations,
            "seconds": result.seconds | {"write": time.perf_counter() - started},
            "workers": result.workers,
            "inputs": entries,
        }
        write_json(report, self.report)
        return report


def _leave_out(result: Sampled, unfit: Mapping[int, str]) -> None:
    """Take out the samples that could not be written, by their number among all, and say why."""
    first = 0
    for number, samples in enumerate(result.samples):
        reasons = {k: unfit[first + k] for k in range(len(samples)) if first + k in unfit}
        first += len(samples)
        if reasons:
            result.samples[number] = [sample for k, sample in enumerate(samples) if k not in reasons]
            why = f"{len(reasons)} of {len(samples)} samples could not be written: {next(iter(reasons.values()))}"
            result.failures[number] = "; ".join(filter(None, [result.failures[number], why]))


def _entries(inputs: ReadResult, result: Sampled) -> list[dict[str, Any]]:
    """The report's entry of each input, those that could not be read last."""
    rows = zip(inputs.items, result.samples, result.failures, result.notes, strict=True)
    entries = [
        {
            "input": _label(item, number),
            "written": len(samples),
            "failure": failure,
            "notes": notes,
            "wrong_stereo": _count_wrong_stereo(samples),
            **{key: max(sample[key] for sample in samples) for key in ("fixed_rmsd",) if samples and key in samples[0]},
        }
        for number, (item, samples, failure, notes) in enumerate(rows, start=1)
    ]
    return entries + [
        {
            "input": f"{failure.source}, {failure.location}",
            "written": 0,
            "failure": failure.reason,
            "notes": [],
            "wrong_stereo": 0,
        }
        for failure in inputs.failures
    ]


def _count_wrong_stereo(samples: Sequence[Data]) -> int:
    """How many samples have another stereochemistry than their SMILES."""
    return sum(not resolve(domain_of(sample).accept)(sample) for sample in samples)


def _label(item: Data, number: int) -> str:
    return getattr(item, "name", "") or getattr(item, "smiles", "") or f"graph {number}"
