"""Sampling jobs from file to file, written input by input, so that a killed job can be resumed.

The path of an input: :class:`FileJob` reads it and passes it to a loaded model,
:class:`~graphscore.experiment.sampling.pipeline.Pipeline` (for molecules the subclass
:class:`~graphscore.molecules.conformers.ConformerModel`), which calls :func:`~graphscore.generate.jobs.generate` with a
window of inputs; that calls the sampler with batches. The outcome comes back the same way, and is written at once.
Options become a :class:`~graphscore.experiment.sampling.request.Request`, which the model turns into a sampler and
arguments.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch_geometric.data import Data

from graphscore.attributes import READ_FROM
from graphscore.cli.checks import check_kept
from graphscore.cli.inputs import Fitting, Inputs, label
from graphscore.cli.report import Summary, moved, write_report
from graphscore.data.outputs import Output
from graphscore.data.readers import Failure
from graphscore.data.writers import PT, check_output
from graphscore.domains import domain_of
from graphscore.experiment.sampling.journal import Journal
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.sampling.trajectories import position_noise
from graphscore.generate.outcome import Outcome
from graphscore.registry import Trusted, resolve
from graphscore.runtime.engine import Engine
from graphscore.runtime.workers import Progress
from graphscore.train.interruption import Interrupted

if TYPE_CHECKING:  # only molecules need RDKit
    from graphscore.cli.run_parts import PartInputs
    from graphscore.cli.starts import StartedInputs
    from graphscore.molecules.fragments import Fragment


class Files(NamedTuple):
    """Output files of a sampling job.

    Attributes:
        out: File of the samples.
        report: File of the report, ``*.json``; by default beside the samples, ``<out>.report.json``.
        trajectory: File for the steps of all samples, ``.sdf`` of molecules and ``.pt`` or ``.npz`` of others; see
            :class:`~graphscore.experiment.sampling.trajectories.Trajectories`.
    """

    out: Path
    report: Path | None = None
    trajectory: Path | None = None


class FileJob:
    """Sampling job: sample inputs with a trained model, and write the samples and a report.

    Results are written input by input to partial files, which can be read while the job runs and are kept if it is
    stopped or killed, see :mod:`graphscore.experiment.sampling.journal`; at the end they are moved to their final
    paths. Everything is checked when the job is made, before the work begins.

    Args:
        inputs: Inputs to sample.
        files: Output files.
        options: Attributes of the request, see :class:`~graphscore.experiment.sampling.request.Request`.
        checkpoint: Model file or folder of a run; by default the weights that come with the package.
        device: Device of the network.
        trust: For models with custom components, see :func:`graphscore.experiment.pretrained.load_model`.
        resume: Whether to resume an unfinished job; if there is none, a new one begins.
        engine: Shares the inputs among several processes. In all but the first of those that were started together,
            call :meth:`help`, in place of :meth:`run`.

    Raises:
        ValueError: If a file cannot be written, has an unsuitable format or would replace the input, an option is out
            of range, the model does not support an option, or there are results of an unfinished job that this one does
            not or cannot resume.
        FileNotFoundError: If there is no checkpoint.
    """

    def __init__(
        self,
        inputs: Inputs | PartInputs | StartedInputs,
        files: Files,
        options: Mapping[str, Any],
        checkpoint: Path | None = None,
        device: str = "auto",
        trust: Trusted = (),
        resume: bool = False,
        engine: Engine | None = None,
    ) -> None:
        self.engine = engine
        self.inputs, self.out, self.trajectory = inputs, check_output(files.out), files.trajectory
        self.domain = domain_of(inputs.first())
        report = Path(f"{files.out}.report.json") if files.report is None else files.report
        self.report = check_output(report, [".json"])
        if self.trajectory is not None:
            check_output(self.trajectory, resolve(self.domain.trajectories).formats)
            if self.trajectory.resolve() == self.out.resolve():
                raise ValueError(f"Samples and trajectory need different files, but both are {self.out}")
        for file in filter(None, (self.out, self.report, self.trajectory)):
            check_kept(inputs.files, file)
        self.outputs = [Output(file) for file in (self.out, self.trajectory) if file is not None]
        self._check_number(options)
        for number, item in enumerate(inputs, start=1):
            if reason := self._unfit(item):
                raise ValueError(f"{reason}, but input {number} is none; write a {PT} file")
            if isinstance(item, Data):
                break
        started = time.perf_counter()
        device = device if engine is None else engine.device(device)
        self.pipeline, self.request = self._load(options, checkpoint, device, trust)
        self.seconds = {"load": time.perf_counter() - started, "write": 0.0}
        self.trace = None
        if self.trajectory is not None:
            self.trace = resolve(self.domain.trajectories)(position_noise(self.pipeline.model), self.outputs[1].record)
        made = [self.out] if self.trajectory is None else [self.out, self.trajectory]
        self.described = self.pipeline.describe(self.request)
        if engine is None or engine.is_first:
            self.journal = Journal(self.out, made, self._identity(), resume)

    def _check_number(self, options: Mapping[str, Any]) -> None:
        """Check that a file for one graph gets no more."""
        single = next((output for output in self.outputs if output.is_single), None)
        if single is None:
            return
        nums = self.inputs.nums
        number = options.get("num", 1) * len(self.inputs) if nums is None else sum(nums)
        if number > 1:
            other = f"{single.format}.zip, a file for each"
            raise ValueError(f"{single.path} takes one graph, but {number} are asked for: write {other}")

    def _unfit(self, item: Data | Failure) -> str:
        """Reason why an input does not fit the output files; empty if it does."""
        reasons = [output.unfit(item) for output in self.outputs[::-1]] if isinstance(item, Data) else []
        return next(filter(None, reasons), "")

    def _load(
        self, options: Mapping[str, Any], checkpoint: Path | None, device: str, trust: Trusted
    ) -> tuple[Pipeline, Any]:
        kind: type[Pipeline] = resolve(self.domain.pipeline)
        if beyond := sorted(options.keys() - {field.name for field in fields(kind.request_type)}):
            raise ValueError(f"Only molecules have {', '.join(beyond)}, but input 1 is none")
        request = kind.request_type(**options)
        pipeline = kind.load(checkpoint, device=device, trust=trust)
        pipeline.check(request)
        return pipeline, request

    def _identity(self) -> dict[str, Any]:
        """Everything that must be equal to resume a job: all that samples depend on, up to rounding."""
        described = {key: value for key, value in self.described.items() if key not in ("device", "checkpoint")}
        fragment: Fragment | None = getattr(self.request, "fragment", None)
        return {
            "inputs": self.inputs.digest(),
            **described,
            "fixed_pos": None if fragment is None else fragment.pos.tolist(),
            "trajectory": None if self.trajectory is None else str(self.trajectory),
        }

    def run(self, progress: Progress | None = None) -> dict[str, Any]:
        """Run the job.

        Args:
            progress: Called with (samples done, total).

        Returns:
            The report without the entries of the inputs, with ``failures`` and ``notes``: the first few pairs of an
            input and a sentence. The report file has an entry for each input, in order.

        Raises:
            ValueError: If nothing could be sampled, or no sample fits the format of the output.
            KeyboardInterrupt: If it was stopped; the message says how to resume.
        """
        try:
            with _stopped_by_sigterm():
                if not self.journal.is_complete:
                    self._sample(progress)
                elif self.engine is not None:
                    self.engine.agree((self.journal.done, torch.get_num_threads()))  # nothing is left to be helped with
                return self._finish()
        except KeyboardInterrupt as stop:
            raise Interrupted(self._stopped(), getattr(stop, "exit_code", 128 + signal.SIGINT) - 128) from stop
        finally:
            self.journal.close()

    def _stopped(self) -> str:
        if not self.journal.done:
            self.journal.remove()
            return f"stopped before an input was done; {self.out} was not written"
        of = f"{self.journal.done:,} of {len(self.inputs):,} inputs are done, and kept in {self.journal.partial[0]}"
        return f"stopped; {of}. The same command with --resume goes on"

    def help(self) -> None:
        """Do the share of a process that is not the first one, which writes all files."""
        assert self.engine is not None
        start, threads = self.engine.agree(None)
        for _ in self._outcomes(start, threads):
            pass

    def _outcomes(self, start: int, threads: int, **options: Any) -> Iterator[Outcome]:
        torch.set_num_threads(min(threads, os.cpu_count() or 1))
        inputs, options = Fitting(self.inputs, self._unfit), {"nums": self.inputs.nums, "start": start} | options
        return self.pipeline.sample(inputs, self.request, engine=self.engine, **options)

    def _sample(self, progress: Progress | None) -> None:
        # The last bits of samples depend on threads and workers.
        start, last, threads, decided = self.journal.done, self.journal.last, torch.get_num_threads(), None
        if last is not None:
            decided, threads = last["costs"]["workers"], last["threads"]
            decided = decided if decided in (1, threads) else None  # not those of a cluster
        if self.engine is not None:
            self.engine.agree((start, threads))
        outcomes = self._outcomes(start, threads, decided=decided, progress=progress, trace=self.trace)
        for number, outcome in enumerate(outcomes, start=start):
            started = time.perf_counter()
            self.journal.add(*self._written(number, outcome))
            self.seconds["write"] += time.perf_counter() - started
        self.journal.complete()

    def _written(self, number: int, outcome: Outcome) -> tuple[dict[str, Any], list[bytes]]:
        """The entry of an input, and the records of its samples."""
        item, records, reasons = outcome.input, [], []
        for sample in outcome.samples:
            try:
                records.append(self.outputs[0].record(sample))
            except ValueError as error:
                reasons.append(str(error))
        failure, samples = outcome.failure, outcome.samples
        if reasons:
            why = f"{len(reasons)} of {len(samples)} samples could not be written: {reasons[0]}"
            failure = why if failure is None else f"{failure}; {why}"
        entry = {
            "input": label(item, number),
            **({"source": item[READ_FROM]} if isinstance(item, Data) and READ_FROM in item else {}),
            "written": len(records),
            "failure": failure,
            "notes": outcome.notes,
            "methods": dict(Counter(sample["method"] for sample in samples)),
            "marked": outcome.num_refused,
            **moved(samples),
            "evaluations": outcome.cost.evaluations,
        }
        spent = {"seconds": dict(outcome.cost.seconds), "workers": outcome.cost.workers}
        costs = {"sampled": len(samples), **spent, "max_edges": outcome.cost.max_edges}
        rows = self.outputs[0].rows(records, number + 1, item, failure)
        content = [self.outputs[0].part(rows)]
        if self.trace is not None:
            content.append(self.outputs[1].part([*self.trace.records(number, item)]))
        return {"entry": entry, "costs": costs, "threads": torch.get_num_threads()}, content

    def _finish(self) -> dict[str, Any]:
        """Move the files to their final paths, and write the report."""
        summary = Summary()
        for line in self.journal.entries():
            summary.add(line)
        if not summary.num_written:
            self.journal.remove()
            what = "written" if summary.num_sampled else "sampled"
            raise ValueError(f"Nothing could be {what}: {summary.first}")
        started = time.perf_counter()
        for k, (partial, output) in enumerate(zip(self.journal.partial, self.outputs, strict=True)):
            if partial.exists():
                output.finish(partial, lambda k=k: self.journal.sizes(k))
        self.seconds["write"] += time.perf_counter() - started
        report = {
            **self.described,
            "path": str(self.report),
            "output": str(self.out),
            **summary.report(self.seconds),
        }
        write_report(report, (line["entry"] for line in self.journal.entries()), self.report)
        self.journal.remove()
        return report | {"failures": summary.failures, "notes": summary.notes, "num_notes": summary.num_notes}


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM stop the job as Ctrl-C does, inside a ``with`` block of the main thread."""

    def stop(signum: int, _: Any) -> None:
        raise Interrupted("stopped", signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
