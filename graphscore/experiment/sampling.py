"""A trained model, ready to sample: graphs in, samples out, with what else is wanted of molecules."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore import __version__, ops
from graphscore.denoiser import ScoreModel
from graphscore.domains import domain_of
from graphscore.experiment.build import build_sampler, build_transform, with_null_values
from graphscore.experiment.pretrained import asked_by, load_model
from graphscore.experiment.request import Request
from graphscore.experiment.sampled import Sampled
from graphscore.experiment.weights import find_model
from graphscore.generate.inputs import inputs_of, without_measurements
from graphscore.generate.jobs import CPU_EDGES, TEMPLATE, Assemble, Progress, Trace, generate, with_values
from graphscore.guidance import EnergyGuidance, Inpainting, Repulsion
from graphscore.registry import Trusted, resolve
from graphscore.runtime.settings import choose_device, describe_device
from graphscore.runtime.sharing import share

POS = "pos"
MASK, POSITIONS = "fixed", "fixed_pos"
"""Attributes of graphs: which nodes are known, bool ``[n]``, and where they are, ``[n, 3]``."""
# Chosen for recall of the shipped model on validation molecules; from 1 nat on, recall falls.
REPULSION, BANDWIDTH = 0.25, 1.0  # nats per atom, and Angstrom


class Session:
    """A trained model with what is asked of it; whatever does not depend on the graphs is checked here.

    Args:
        checkpoint: Model file, or folder of a run.
        request: What is asked.
        trust: For models with components of one's own, see :func:`graphscore.experiment.pretrained.load_model`.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it cannot be read, a component is neither known nor trusted, there is no such sampler, or the
            model cannot do what is asked.
    """

    def __init__(self, checkpoint: Path, request: Request, trust: Trusted = ()) -> None:
        started = time.perf_counter()
        self.checkpoint = find_model(checkpoint)
        self.request = request
        self.device = choose_device(request.device)
        self.model, config, info = load_model(checkpoint, trust)
        self.model.to(self.device)
        self.config = config.with_sampling(request.sampler, request.num_steps, request.prior_scale, request.max_drift)
        with asked_by(checkpoint):
            self.sampler = build_sampler(self.config, self._guided())
            self.transform = build_transform(self.config)
        self.known: Mapping[str, Sequence[int]] = with_null_values(config, info["known"])
        # A transform that makes another graph of a molecule says how samples of it become molecules again.
        self.assembler: Callable[[], Assemble] | None = next(
            (step.assembler for step in reversed(self.transform.transforms) if hasattr(step, "assembler")), None
        )
        self.seconds_to_load = time.perf_counter() - started

    def _guided(self) -> ScoreModel:
        model, request = self.model, self.request
        if not (request.diverse or request.fragment):
            return model
        if POS not in model.fields:
            raise ValueError(f"The model places no nodes in space: its fields are {sorted(model.fields)}, not {POS!r}")
        if request.diverse:
            model = EnergyGuidance(model, _Repulsion(Repulsion(model.fields[POS], TEMPLATE, BANDWIDTH, rigid=True)),
                                   REPULSION, through_network=False)  # fmt: skip
        return model if request.fragment is None else Inpainting(model, POS, MASK, POSITIONS, rigid=True)

    def describe(self) -> dict[str, Any]:
        """Everything that the samples depend on."""
        request, sampling = self.request, self.config.sampling
        versions = {"graphscore": __version__, "python": platform.python_version(), "torch": torch.__version__}
        try:
            from rdkit import rdBase

            versions["rdkit"] = rdBase.rdkitVersion
        except ImportError:
            pass
        return {
            "seed": request.seed,
            "num": request.num,
            "sampler": sampling.sampler.name,
            "num_steps": sampling.num_steps,
            "prior_scale": sampling.prior_scale,
            "max_drift": sampling.max_drift,
            "retries": request.retries,
            "refine": request.refine,
            "energy_rank": request.energy_rank,
            "diverse": request.diverse,
            "fix": None if (held := request.fragment) is None else {"smarts": held.smarts, "from": held.source},
            "device": describe_device(self.device),
            "checkpoint": str(self.checkpoint),
            "sha256": hashlib.sha256(self.checkpoint.read_bytes()).hexdigest(),
            "versions": versions,
        }

    def check(self, items: Sequence[Data]) -> None:
        """Check that graphs are what the request needs.

        Raises:
            ValueError: If one is no molecule, but has to be.
        """
        for number, item in enumerate(items, start=1):
            if self.request.needs_molecules and domain_of(item).name != "molecules":
                raise ValueError(f"Only molecules can be refined, ranked or held, but input {number} is none")

    def __call__(
        self,
        items: Sequence[Data],
        progress: Progress | None = None,
        trace: Trace | None = None,
        nums: Sequence[int] | None = None,
    ) -> Sampled:
        """Sample graphs.

        Args:
            items: Graphs; molecules in the layout of :mod:`graphscore.molecules.graph` where molecules are asked for.
            progress: Called with (samples done, samples in all); twice as many if they are relaxed too.
            trace: See :func:`graphscore.generate.jobs.generate`; what is traced is not shared among workers.
            nums: Samples of each graph; by default as many of each as requested.

        Returns:
            The samples.

        Raises:
            ValueError: If a graph is no molecule, but has to be one.
        """
        self.check(items)
        started, most = time.perf_counter(), [self.request.num] * len(items) if nums is None else nums
        if trace is not None:
            result = self._sample(items, most, progress, trace)
        else:
            pieces = list(zip(items, most, strict=True))
            costs = [self._cost(item) * num for item, num in pieces]
            # Processes that share a GPU wait for it.
            workers = self.request.workers or (None if self.device.type == "cpu" else 1)
            parts = share(self._share, pieces, costs, workers, least=CPU_EDGES, sizes=most, progress=progress)
            elapsed, alone = time.perf_counter() - started, len(parts.results) == 1
            result = parts.results[0] if alone else Sampled.join(parts.results, parts.tasks, elapsed, parts.workers)
        result.seconds = {"load": self.seconds_to_load} | result.seconds
        return result

    def _cost(self, item: Data) -> int:
        """About how many edges the network sees."""
        nodes = int((item["z"] != 1).sum()) if self.assembler and "z" in item else item.num_nodes or 0
        return nodes**2

    def _share(self, pieces: Sequence[tuple[Data, int]], progress: Progress | None = None) -> Sampled:
        """Sample graphs, each with the number of its samples, in this process or a worker."""
        return self._sample([item for item, _ in pieces], [num for _, num in pieces], progress)

    def _sample(
        self, items: Sequence[Data], nums: Sequence[int], progress: Progress | None = None, trace: Trace | None = None
    ) -> Sampled:
        """Sample graphs in this process."""
        request, started = self.request, time.perf_counter()
        finish = _Finish(self.assembler and self.assembler())
        rounds = _Rounds(progress, 1 + (request.refine != "none"))
        result = generate(
            self.sampler, items, num=nums, seed=request.seed,
            transform=self._seen, known=self.known, assemble=finish, accept=_accepted, label=_label,
            max_drift=self.config.sampling.max_drift, retries=request.retries, together=request.diverse,
            progress=rounds.sampled, trace=trace,
        )  # fmt: skip
        sampled, notes = time.perf_counter(), []
        for number, (samples, numbers) in enumerate(zip(result.samples, result.numbers, strict=True)):
            for sample, k in zip(samples, numbers, strict=True):
                sample.sample, sample.seed = k + 1, request.seed
            held = finish.held.get(id(samples[0]), []) if samples else []
            result.samples[number], found = self._refined(samples, held)
            if samples and not result.samples[number]:
                result.failures[number] = "; ".join(found)
            notes.append([*self._left_behind(items[number]), *found])
            rounds.relaxed(len(samples))
        seconds = {
            "sample": sampled - started - finish.seconds,
            "hydrogens": finish.seconds if self.assembler else 0.0,
            "refine": time.perf_counter() - sampled,
        }
        evaluations = sum(result.num_evaluations) / max(1, sum(map(len, result.samples)))
        return Sampled(result.samples, result.failures, notes, evaluations, seconds)

    def _left_behind(self, item: Data) -> list[str]:
        """A note on what an input has and its samples have not, if there is anything."""
        kept = {*without_measurements(item, inputs_of(self.model)).keys(), *self.model.fields}
        left = [key for key in item.keys() if key not in kept]  # noqa: SIM118 (not a dict)
        return [f"measured for other coordinates, and not passed on: {', '.join(sorted(left))}"] if left else []

    def _seen(self, item: Data) -> Data:
        """What the network sees of a graph."""
        graph, fragment = self.transform(item), self.request.fragment
        if fragment is not None:
            rows, pos = fragment.find(item, graph)
            graph[MASK] = torch.zeros(graph.num_nodes or 0, dtype=torch.bool).index_fill(0, rows, True)
            graph[POSITIONS] = pos.new_zeros(graph.num_nodes or 0, 3).index_copy(0, rows, pos)
        return graph

    def _refined(self, samples: list[Data], held: Sequence[int]) -> tuple[list[Data], list[str]]:
        relax = self.request.refine == "mmff"
        if not (relax or self.request.energy_rank):
            return samples, []
        from graphscore.molecules.forcefield import rank, refine

        result = refine(samples, relax, held)
        if not self.request.energy_rank:
            return result.samples, result.notes
        ranked = [result.samples[i] for i in rank(result.samples)]
        for sample in ranked:
            if "energy" in sample:
                sample.relative_energy = sample.energy - ranked[0].energy
        return ranked, result.notes


def _accepted(sample: Data) -> bool:
    return resolve(domain_of(sample).accept)(sample)


def _label(template: Data, graph: Data, name: str, row: int) -> str:
    return resolve(domain_of(template).label)(template, graph, name, row)


class _Repulsion:
    """Repulsion that neither fades in large molecules nor grows with the number of samples."""

    def __init__(self, repulsion: Repulsion) -> None:
        self.repulsion = repulsion

    def __call__(self, batch: Batch) -> Tensor:
        rows = ops.count(batch.batch, batch.num_graphs)
        others = (batch[TEMPLATE][:, None] == batch[TEMPLATE]).sum(1) - 1
        return rows / others.clamp(min=1) * self.repulsion(batch)


class _Rounds:
    """Progress of sampling and relaxing the same samples, as one."""

    def __init__(self, progress: Progress | None, rounds: int) -> None:
        self.progress, self.rounds = progress, rounds
        self.done = self.num = 0

    def sampled(self, done: int, total: int) -> None:
        self.done, self.num = done, total
        self._tell()

    def relaxed(self, more: int) -> None:
        if self.rounds > 1:
            self.done += more
            self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.done, self.rounds * self.num)


class _Finish:
    """Assemble samples, and find out how far known atoms are from where they should be."""

    def __init__(self, assemble: Assemble | None) -> None:
        self.assemble = assemble
        self.held: dict[int, list[int]] = {}  # by the identity of the sample
        self.seconds = 0.0

    def __call__(self, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
        started = time.perf_counter()
        item = (self.assemble or with_values)(template, graph, values)
        if MASK in graph:
            rows = graph[MASK].nonzero()[:, 0]
            off = values[POS][rows] - graph[POSITIONS][rows]
            item.fixed_rmsd = float(off.square().sum(-1).mean().sqrt())
            self.held[id(item)] = (graph["kept"][rows] if "kept" in graph else rows).tolist()
        self.seconds += time.perf_counter() - started
        return item
