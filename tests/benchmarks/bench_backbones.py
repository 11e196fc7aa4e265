"""Compare the backbones with plain versions of themselves and with other libraries: ``make bench``.

A forward pass is without gradients. A training step is the forward pass, mean squares of both outputs, the backward
pass and AdamW (fused). All variants of a network have the same weights and see the same batch, one after another in
rounds; times are medians. Variants:

- ``dense``: padded to the largest graph, float32;
- ``naive``: PyG's ``MessagePassing``, float32;
- ``fp32``, ``medium``: ours, with ``torch.set_float32_matmul_precision`` of ``"highest"`` and ``"medium"``;
- ``bf16``: ours, with autocast to bfloat16;
- ``compile``: ours in float32, by ``torch.compile(dynamic=True)``.

EGNN sees all pairs of nodes; the other networks, ours and those of other libraries, see the pairs within 5 Angstrom.
The ratio to the products is that of a training step to its own matrix products, run again by themselves in the same
precision. Peak memory is that of a training step in a process of its own, with the default allocator.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Annotated

import typer
from allocator import ALLOCATORS, restart_with


def chosen(kind: str, wanted: list[str] | None, known: list[str]) -> list[str]:
    """The wanted names, all by default."""
    for name in wanted or ():
        if name not in known:
            raise typer.BadParameter(f"expected some of {known}, but got {name!r}", param_hint=f"--{kind}")
    return wanted or known


def parsed(size: str | None) -> tuple[int, int] | None:
    """Layers and width, from ``5x96``."""
    if size is None:
        return None
    layers, separator, width = size.partition("x")
    if not (separator and layers.isdigit() and width.isdigit()):
        raise typer.BadParameter(f"expected LAYERSxWIDTH, such as 5x96, but got {size!r}", param_hint="--size")
    return int(layers), int(width)


def main(
    case: Annotated[list[str] | None, typer.Option(help="A case; all by default.")] = None,
    backbone: Annotated[list[str] | None, typer.Option(help="A network; all by default.")] = None,
    variant: Annotated[
        list[str] | None, typer.Option(help="A variant; by default those worth it for each network.")
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="LAYERSxWIDTH", help="Size of all networks.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds in which each variant has one turn.")] = 5,
    seconds: Annotated[float, typer.Option(help="Time for the rounds of one case; three are always run.")] = 10.0,
    threads: Annotated[int | None, typer.Option(min=1, help="All physical cores by default.")] = None,
    allocator: Annotated[str, typer.Option(help="tuned (freed blocks are kept) or default.")] = "tuned",
    memory: Annotated[bool, typer.Option(help="Measure peak memory.")] = True,
    symmetry: Annotated[bool, typer.Option(help="Measure errors of symmetry, and of graphs in batches.")] = True,
    scaling: Annotated[bool, typer.Option(help="Measure the cost of EGNN from 10 to 5,000 nodes.")] = True,
    profile: Annotated[bool, typer.Option("--profile", help="Show what else than products takes time.")] = False,
    out: Annotated[Path, typer.Option(help="Where the measurements go as JSON.")] = Path("benchmarks.json"),
) -> None:
    """Compare the backbones with plain versions of themselves and with other libraries."""
    restart_with(*chosen("allocator", [allocator], list(ALLOCATORS)))
    import compare
    import measure
    import report
    import scaling as growth
    import symmetry as symmetries
    import torch
    from cases import CASES, SEED
    from contenders import SETUPS, VARIANTS
    from rich.console import Console

    from graphscore.nn import BACKBONES

    names, cases = chosen("backbone", backbone, list(SETUPS)), chosen("case", case, list(CASES))
    variants = chosen("variant", variant, list(VARIANTS)) if variant else ()
    plan = compare.Plan(
        variants=variants, size=parsed(size), rounds=rounds, seconds=seconds,
        threads=threads or measure.physical_cores(), memory=memory,
    )  # fmt: skip
    torch.set_num_threads(plan.threads)
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(
        f"{measure.cpu_model()}, {plan.threads} threads, {allocator} allocator; "
        f"torch {torch.__version__}, Python {platform.python_version()}; seed {SEED}"
    )
    rows = compare.run(names, cases, plan, console.print, profile)
    report.write(rows, out)
    report.show(console, rows)
    ours = [name for name in names if name in BACKBONES]
    if symmetry and ours:
        console.print(symmetries.table(ours, plan.size))
    if scaling:
        console.print(growth.table(rounds, seconds))


if __name__ == "__main__":
    typer.run(main)
