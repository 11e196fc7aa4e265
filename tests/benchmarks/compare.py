"""All variants of a network on a case, with its partner in another library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from cases import Graphs
from contenders import BASELINES, EAGER, SETUPS, Contender, build, float32_precision, has_compiler
from measure import difference, equivariance_error, interleaved, peak_mib
from products import PRODUCTS, recorded, replay
from report import Row
from torch._dynamo.utils import counters

from graphscore.nn import BACKBONES

TOLERANCE = 1e-4
ROUNDED = ("medium", "bf16")  # on some CPUs "medium" is bfloat16 too
Say = Callable[[str], object]


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        variants: Which variants, those of each set-up if empty.
        size: Number of layers and width instead of those of each set-up.
        rounds: Rounds in which each variant has one turn.
        seconds: Time for the rounds of one case.
        threads: Number of threads.
        memory: Whether to measure peak memory.
    """

    variants: Sequence[str] = ()
    size: tuple[int, int] | None = None
    rounds: int = 5
    seconds: float = 10.0
    threads: int = 1
    memory: bool = True


def run(names: Sequence[str], cases: Sequence[str], plan: Plan, say: Say, profiled: bool = False) -> list[Row]:
    """Measure networks on cases, and tell how ours compare with those of other libraries."""
    rows: list[Row] = []
    for name, *partner in groups(names):
        field = contenders([name, *partner], plan, say)
        for case in (case for case in cases if case in SETUPS[name].cases):
            graphs = SETUPS[name].graphs(case)
            rows += compare(case, graphs, field, plan, say)
            if profiled:
                profile(case, graphs, field, say)
        if any(contender.variant == "compile" for contender in field):
            say(f"{name}, compile: {counters['stats']['unique_graphs']} graphs compiled for all cases together")
            counters.clear()
            torch._dynamo.reset()
    for line in against_partners(rows):
        say(line)
    return rows


def groups(names: Sequence[str]) -> list[list[str]]:
    """What is measured in the same rounds: a network of ours and its partner, every other network by itself."""
    partners = {name: SETUPS[name].partner for name in names}
    taken = set(partners.values())
    return [[name, *(other for other in names if other == partners[name])] for name in names if name not in taken]


def against_partners(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each case of each network of ours that has a partner in another library."""
    found = {(row.backbone, row.case, row.variant): row for row in rows}
    for row in rows:
        partner = SETUPS[row.backbone].partner
        other = found.get((partner or "", row.case, "fp32"))
        if other is not None:
            forward, train = other.forward_s / row.forward_s, other.train_s / row.train_s
            yield (
                f"{row.backbone}, {row.case}, {row.variant}: {forward:.2f} (forward) and {train:.2f} (training) times "
                f"as fast as {partner}"
            )


def contenders(names: Sequence[str], plan: Plan, say: Say) -> list[Contender]:
    """All variants of networks that can be built here."""
    found = []
    for name in names:
        setup = SETUPS[name]
        for variant in (variant for variant in plan.variants or setup.variants if variant in setup.possible):
            if variant == "compile" and not has_compiler():
                say(f"{name}, compile: left out, no C++ compiler found")
                continue
            try:
                found.append(build(name, variant, plan.size))
            except ImportError as error:
                say(f"{name}: left out, {error}")
    return found


def compare(case: str, graphs: Graphs, field: list[Contender], plan: Plan, say: Say) -> list[Row]:
    """Measure contenders on a case; those that ``torch.compile`` fails for are taken out of the list.

    Raises:
        RuntimeError: If the outputs of ours in float32 are not those of a plain version.
    """
    warm_up(graphs, field, say)
    check_equal(case, graphs, field, say)
    times = measured(graphs, field, plan)
    rows = []
    for contender in field:
        name, variant = contender.name, contender.variant
        forward, train = times[name, variant, "forward"], times[name, variant, "train"]
        dense = [times.get((name, "dense", what)) for what in ("forward", "train")]
        products = times.get((name, "fp32" if variant == "compile" else variant, "products"))
        rows.append(
            Row(
                case, name, variant, forward, train,
                graphs_per_s=len(graphs.sizes) / train,
                peak_mib=peak(contender, case, plan, say),
                equivariance=equivariance_error(contender, graphs),
                forward_vs_dense=None if dense[0] is None else dense[0] / forward,
                train_vs_dense=None if dense[1] is None else dense[1] / train,
                train_vs_gemm=None if products is None else train / products,
            )
        )  # fmt: skip
    return rows


def warm_up(graphs: Graphs, field: list[Contender], say: Say) -> None:
    """Run everything once."""
    for contender in list(field):
        inputs = contender.prepare(graphs)
        try:
            contender.forward(inputs)
            contender.train(inputs)
        except Exception as error:
            if contender.variant != "compile":
                raise
            say(f"{contender.name}, compile: left out, {type(error).__name__}: {str(error).strip().splitlines()[0]}")
            field.remove(contender)


def check_equal(case: str, graphs: Graphs, field: list[Contender], say: Say) -> None:
    """Compare the outputs of all variants, which have the same weights, with those of a plain version."""
    reference = next((contender for contender in field if contender.variant in BASELINES), None)
    if reference is None:
        return
    errors = {
        contender.variant: difference(contender, reference, graphs)
        for contender in field
        if contender is not reference and contender.name == reference.name
    }
    listed = ", ".join(f"{error:.1e} ({variant})" for variant, error in errors.items())
    say(f"{reference.name}, {case}: relative difference of outputs from the {reference.variant} version's: {listed}")
    if not all(error <= TOLERANCE for variant, error in errors.items() if variant not in ROUNDED):
        raise RuntimeError(f"{case}: outputs differ from the {reference.variant} version's by more than {TOLERANCE}")


def measured(graphs: Graphs, field: list[Contender], plan: Plan) -> dict[tuple[str, str, str], float]:
    """Seconds per forward pass, per training step and for the matrix products of that alone."""
    tasks: dict[tuple[str, str, str], Callable[[], object]] = {}
    for contender in field:
        name, variant, inputs = contender.name, contender.variant, contender.prepare(graphs)
        tasks[name, variant, "forward"] = partial(contender.forward, inputs)
        tasks[name, variant, "train"] = partial(contender.train, inputs)
        if SETUPS[name].network in BACKBONES and variant in EAGER:
            tasks[name, variant, "products"] = products_alone(contender, inputs)
            tasks[name, variant, "products"]()
    return interleaved(tasks, plan.rounds, plan.seconds)


def products_alone(contender: Contender, inputs: tuple[Any, ...]) -> Callable[[], None]:
    """The matrix products of a training step, in its precision."""
    run = replay(recorded(lambda: contender.train(inputs)))

    def task() -> None:
        with float32_precision(contender.precision):
            run()

    return task


def peak(contender: Contender, case: str, plan: Plan, say: Say) -> float | None:
    """Peak memory; not for compiled networks, where it would be that of the compiler."""
    if not plan.memory or contender.variant == "compile":
        return None
    try:
        return peak_mib(contender.name, contender.variant, case, plan.size, plan.threads)
    except BrokenProcessPool:
        say(f"{contender.name}, {contender.variant}, {case}: peak memory unknown, its process died")
        return None


def profile(case: str, graphs: Graphs, field: list[Contender], say: Say, number: int = 12) -> None:
    """Tell which operators of a training step take longest by themselves, with all matrix products in one line."""
    for contender in field:
        if contender.variant not in EAGER:
            continue
        inputs = contender.prepare(graphs)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            contender.train(inputs)
        times = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
        total = sum(times.values())
        products = {key for key in times if key.rpartition("::")[2] in PRODUCTS}
        say(f"{contender.name}, {case}, {contender.variant}: a training step")
        say(f"{sum(times[key] for key in products) / total:7.1%}  matrix products")
        for key in sorted(set(times) - products, key=lambda key: -times[key])[:number]:
            say(f"{times[key] / total:7.1%}  {key}")
