"""Sampling pipeline: a loaded model that samples graphs, and yields the outcome of each input when it is done."""

from __future__ import annotations

import hashlib
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch_geometric.data import Data

from graphscore.data.derived import given_attributes
from graphscore.data.normalization import normalizing
from graphscore.denoiser import ScoreModel
from graphscore.experiment.build import build_sampler, build_transform, with_null_values
from graphscore.experiment.config.schema import ModelConfig
from graphscore.experiment.pretrained import asked_by, load_model
from graphscore.experiment.sampling import completion
from graphscore.experiment.sampling.diversity import diversify
from graphscore.experiment.sampling.likelihood import LikelihoodMixin
from graphscore.experiment.sampling.parts import WholeInputs
from graphscore.experiment.sampling.placing import MeasuredInputs, Placed
from graphscore.experiment.sampling.request import DESCRIBED, Request
from graphscore.experiment.sampling.starts import PutBack, starts_of
from graphscore.experiment.sampling.trajectories import POS, position_noise
from graphscore.experiment.sampling.window import Piece, WindowSampler
from graphscore.experiment.trained_on import TrainedOn
from graphscore.experiment.weights import find_model
from graphscore.generate.budget import Budget
from graphscore.generate.jobs import check_nums
from graphscore.generate.outcome import Outcome
from graphscore.generate.progress import Tally
from graphscore.generate.tries import Finish, Starts, Trace
from graphscore.generate.windows import shares
from graphscore.registry import Trusted
from graphscore.runtime.engine import Engine
from graphscore.runtime.settings import choose_device, describe_device
from graphscore.runtime.streaming import stream
from graphscore.runtime.version import __version__
from graphscore.runtime.workers import Progress, Work
from graphscore.samplers import Sampler

if TYPE_CHECKING:
    from typing_extensions import Self


class Pipeline(WholeInputs, LikelihoodMixin):
    """A trained model with its sampler, loaded once and used for any number of calls.

    >>> from graphscore.data import read
    >>> pipeline = Pipeline.load("runs/demo")  # doctest: +SKIP
    >>> for outcome in pipeline.sample(read("graphs.pt").items, num=5, seed=1):  # doctest: +SKIP
    ...     print(outcome)

    Args:
        model: The model, in evaluation mode.
        config: Its configuration: transforms, sampler, number of steps.
        info: Facts about its training; ``known`` lists the values of each integer input in training, and graphs with
            other values fail.
        checkpoint: File of the model.
        device: Device of the network, see :func:`graphscore.runtime.settings.choose_device`. Samples do not depend
            on it, up to rounding.
    """

    request_type: ClassVar[type[Request]] = Request
    outcome_type: ClassVar[type[Outcome]] = Outcome

    def __init__(
        self, model: ScoreModel, config: ModelConfig, info: Mapping[str, Any], checkpoint: Path, device: str = "auto"
    ) -> None:
        self.device = choose_device(device)
        self.model = model.to(self.device)
        self.config, self.info, self.checkpoint = config, info, checkpoint
        self.known = with_null_values(config, info["known"])
        self.trained_on = TrainedOn.read(info, checkpoint)
        with asked_by(checkpoint):
            self.transform = build_transform(config)
        # Attributes of inputs that samples have new values of: the fields, or what a transform measures them on.
        self.sampled = given_attributes(model.fields, self.transform)
        self.needs_given = self.sampled != [*model.fields]
        self.prepare = MeasuredInputs(model.fields, self.transform) if self.needs_given else self.transform
        # A transform that changes the nodes of a graph provides the way back from its samples to those of the input.
        self.assembler: Callable[[], Finish] | None = next(
            (step.assembler for step in reversed(self.transform.transforms) if hasattr(step, "assembler")), None
        )

    @classmethod
    def load(cls, path: str | Path | None, *, device: str = "auto", trust: Trusted = ()) -> Self:
        """Load a pipeline from a model file.

        Args:
            path: A ``model.safetensors``, the folder of a run, or the name of weights that come with the library.
            device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
            trust: For models with custom components, see :func:`graphscore.experiment.pretrained.load_model`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be read, or a component is neither registered nor trusted.
        """
        if path is None:
            raise ValueError("Expected a model file: none comes with the package for such graphs")
        model, config, info = load_model(path, trust)
        pipeline = cls(model, config, info, find_model(path), device)
        pipeline.check(cls.request_type())  # reports wrong parts of the file at once
        return pipeline

    def with_model(self, model: ScoreModel) -> Self:
        """Return a copy of the pipeline with another model, such as an untrained one."""
        return type(self)(model, self.config, self.info, self.checkpoint, str(self.device))

    def sample(
        self,
        items: Iterable[Any],
        request: Request | None = None,
        *,
        nums: Iterable[int] | None = None,
        start: int = 0,
        decided: int | None = None,
        progress: Progress | None = None,
        trace: Trace | None = None,
        engine: Engine | None = None,
        **options: Any,
    ) -> Iterator[Outcome]:
        """Sample graphs, and yield the outcome of each input when it is done.

        Args:
            items: Any number of graphs, read as they are needed. A :class:`~graphscore.data.readers.Failure` among
                them gives an outcome with its reason.
            request: Sampling options.
            nums: Number of samples of each graph; by default that of the request.
            start: Number of the first input to sample; earlier ones are skipped. The samples of the others are
                bit-identical to those of a complete run.
            decided: Number of workers that an earlier job had decided on, which this one continues at ``start``.
            progress: Called with (samples done, total), including failed ones; the total is ``None`` if the number of
                inputs is unknown.
            trace: See :func:`graphscore.generate.jobs.generate`; numbers are those of the inputs. With it, all work is
                done in this process.
            engine: Shares the windows of inputs among several machines, see
                :mod:`graphscore.experiment.sampling.cluster`; by default they are done in this process, or its own
                workers.
            options: Attributes of the request, if none is given: ``num=5, seed=1``.

        Yields:
            The outcome of each input, in order, soon after it is done.

        Raises:
            ValueError: If an option is out of range, there is no such sampler, or the model does not support an option.
        """
        if request is None:
            request = self.request_type(**options)
        elif options:
            raise ValueError(f"Expected a request or options, but got both: {', '.join(options)}")
        items = [items] if self.is_item(items) else items
        wanted = check_nums(items, request.num if nums is None else nums)
        drawn = repeat(request.num_drawn(request.num)) if nums is None else map(request.num_drawn, nums)
        pairs = zip(items, drawn, strict=nums is not None)
        # Several processes on one GPU would only wait for it.
        workers = 1 if trace is not None else request.workers or (None if self.device.type == "cpu" else 1)
        counter = Tally(progress, None if wanted is None else sum(map(request.num_drawn, wanted)))
        # Windows do not depend on the decision about workers, so that they are the same when a job is resumed.
        windows = self._windows(pairs, 1 if workers != 1 else 4)
        return self._outcomes(self.work(request, trace), windows, start, workers or decided, counter, engine)

    def _windows(self, pairs: Iterable[tuple[Any, int]], least: int) -> Iterator[list[tuple[Any, Piece]]]:
        """Read inputs in windows, and make a piece of work of each input."""
        pieces = ((item, (number, self._graph(item), num)) for number, (item, num) in enumerate(pairs))
        return shares(pieces, lambda pair: self._cost(pair[1]), Budget.of(self.device).max_edges, least)

    def _outcomes(
        self,
        work: Work[Piece, list[Outcome]],
        windows: Iterable[list[tuple[Any, Piece]]],
        start: int,
        workers: int | None,
        counter: Tally,
        engine: Engine | None,
    ) -> Iterator[Outcome]:
        pending = deque[tuple[Any, Piece]]()

        def tasks() -> Iterator[Sequence[Piece]]:
            for window in windows:
                if window[-1][1][0] < start:
                    counter.add(sum(num for _, (_, _, num) in window))
                    continue
                if engine is None or engine.is_first:  # others get no results
                    pending.extend(window)
                yield [piece for _, piece in window]

        for outcomes, sharing in stream(
            work, tasks(), workers, lambda task: sum(map(self._cost, task)), counter.within, engine
        ):
            for outcome in outcomes:
                item, (number, _, num) = pending.popleft()
                counter.add(num, begins=bool(outcome.samples))
                if number >= start:
                    spent = {name: seconds / (sharing or 1) for name, seconds in outcome.cost.seconds.items()}
                    yield replace(outcome, input=item, cost=replace(outcome.cost, seconds=spent, workers=sharing))

    def _graph(self, item: Any) -> Data | str:
        try:
            graph = self.read(item)
        except ValueError as error:
            return str(error)
        reason = "" if self.trained_on is None else self.trained_on.refuses(graph)
        return reason or graph

    def _cost(self, piece: Piece) -> float:
        """Estimate the number of edges of all samples of an input."""
        _, graph, num = piece
        return 0 if isinstance(graph, str) else num * self.size(graph) ** 2

    def check(self, request: Request) -> None:
        """Check that the model supports a request.

        Raises:
            ValueError: If it does not, or there is no such sampler.
        """
        self.work(request, None)

    def work(self, request: Request, trace: Trace | None) -> Work[Piece, list[Outcome]]:
        """Make the function that samples the inputs of a window; raises the errors of :meth:`check`."""
        return WindowSampler(self, request, trace)

    def describe(self, request: Request) -> dict[str, Any]:
        """Describe everything that the samples depend on: model, options and versions."""
        sampling = self.configure(request).sampling
        return {
            "seed": request.seed,
            "num": request.num,
            "sampler": sampling.sampler.name,
            "num_steps": sampling.num_steps,
            "sampling": sampling.model_dump(mode="json"),
            **{name: getattr(request, name) for name in DESCRIBED},
            "device": describe_device(self.device),
            "checkpoint": str(self.checkpoint),
            "sha256": hashlib.sha256(self.checkpoint.read_bytes()).hexdigest(),
            "versions": {"graphscore": __version__, "python": platform.python_version(), "torch": torch.__version__},
        }

    def configure(self, request: Request) -> ModelConfig:
        """The configuration of the model with the sampling options of a request."""
        given = request.sampler, request.num_steps, request.prior_scale, request.max_drift, request.changes
        return completion.configure(self.config, request.complete, given)

    def __repr__(self) -> str:
        sampling, num = self.config.sampling, sum(parameter.numel() for parameter in self.model.parameters())
        return (
            f"{type(self).__name__}({self.checkpoint}: {num:,} parameters, fields {', '.join(self.model.fields)}, "
            f"{sampling.sampler.name} in {sampling.num_steps} steps, on {self.device})"
        )

    # The pipelines of domains override the methods below.

    def sampler(self, request: Request) -> Sampler:
        """Build the sampler of a request, with the model in its guidance."""
        return build_sampler(self.configure(request), self.guide(self.model, request), request.noise)

    def guide(self, model: ScoreModel, request: Request) -> ScoreModel:
        """Wrap the model in the guidance of a request."""
        if request.diverse:
            position_noise(self.model)
            model = diversify(model, model.fields[POS])
        return model if request.complete is None else completion.guide_by_given(model, request.complete)

    def parts(self, graph: Data, request: Request) -> list[Data]:
        """Mark the given rows of an input, if it is to be completed; it is sampled as a whole."""
        return [graph] if request.complete is None else [completion.mark_given(graph, self.model.fields)]

    def see(self, item: Data, request: Request) -> Data:
        """Make the network's input graph of an input."""
        graph = self.prepare(item)
        if request.complete is None:
            return graph
        return completion.see_given(graph, self.model.fields, normalizing(self.transform))

    def finisher(self, request: Request) -> Finish | None:
        """Make the function that turns sampled fields into samples, see :func:`graphscore.generate.jobs.generate`."""
        finish = None if self.assembler is None else self.assembler()
        if request.complete is not None:
            return completion.KeepGiven(finish, tuple(self.model.fields))
        if self.needs_given:
            return Placed(PutBack(finish), self.transform)
        return finish if request.noise is None else PutBack(finish)

    def starts(self, request: Request) -> Starts | None:
        """Make the function that gives input graphs what samples start from; ``None`` for pure noise."""
        return None if request.noise is None else starts_of(self.model.fields, self.transform)
