"""The commands ``evaluate``, ``benchmark``, ``view`` and ``methods``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.cli.checks import check_files, check_part
from graphscore.cli.options import Checkpoint, Device, PartOfRun, Trusted, Workers
from graphscore.cli.progress import Counter, prepare_process, show_notes
from graphscore.registry import find

console = Console()
BOUND = "bound"


def evaluate(
    generated: Annotated[
        Path | None,
        typer.Argument(help="Generated graphs, such as conformers: .sdf .mol2 .pdb .xyz .pt; a folder or pattern."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Argument(help="Reference graphs, such as conformers of the same molecules.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Compare with a part of the data set of this run; draw GENERATED if it is missing."),
    ] = None,
    part: PartOfRun = None,
    num: Annotated[
        int | None, typer.Option(min=1, help="--run: samples of each input; twice as many as it has references.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="--run: most inputs, chosen at random; all.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="torsional-diffusion (default) or geodiff: their numbers must not be compared."),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="NAME", help="Measure etkdg, etkdg-mmff, ... too, see `benchmark`."),
    ] = None,
    posebusters: Annotated[bool, typer.Option("--posebusters", help="Run the checks of PoseBusters.")] = False,
    energies: Annotated[
        str | None, typer.Option(help="mmff or gfn2 (by the program xtb): strain and ensemble properties.")
    ] = None,
    distance: Annotated[
        str | None, typer.Option(help="Point clouds: chamfer (default), chamfer-squared, or emd, earth mover's.")
    ] = None,
    normalize: Annotated[
        str | None,
        typer.Option(help="Point clouds: bounding-box, unit-sphere or standard; by default clouds are centered alone."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the baselines, and of the samples of --run.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON, with confidence intervals.")] = None,
    workers: Workers = None,
    device: Device = "auto",
    trust: Trusted = None,
) -> None:
    """Compare generated graphs with references: conformers by recall, precision, stereochemistry, geometry."""
    given = {
        "protocol": protocol,
        "baselines": baselines,
        "posebusters": posebusters or None,
        "energies": energies,
        "distance": distance,
        "normalize": normalize,
        "workers": workers,
    }
    options = {name: value for name, value in given.items() if value is not None}
    drawn = {"part": part, "num": num, "limit": limit, "trust": trust}
    of_run = check_part(None if run is None else part or "test", run, {"REFERENCE": reference})
    check_files([generated, reference], run, [(out, [".json"])])
    if of_run is not None:
        shared = {"limit": limit, "num": num, "device": device, "trust": trust or ()}
        prepare_process(console)
        with (
            Counter(console, "sampling") as sampling,
            Counter(console, "evaluating", below=sampling) as evaluating,
        ):
            evaluation, notes = library.evaluate_run(
                of_run[0], generated, out, part=of_run[1], seed=seed, sampling=sampling, evaluating=evaluating,
                **shared, **options,
            )  # fmt: skip
        show_notes(console, notes)
    elif generated is None or reference is None:
        raise ValueError("Expected GENERATED and REFERENCE, or --run RUN")
    elif unused := [name for name, value in drawn.items() if value]:
        raise ValueError(f"--{unused[0]} is for --run RUN, not for files of references")
    else:
        if seed is not None:
            options["seed"] = seed
        with Counter(console, "evaluating") as progress:
            evaluation = library.evaluate_files(generated, reference, out, progress=progress, **options)
    library.show_evaluation(console, evaluation)


def benchmark(
    source: Annotated[
        str,
        typer.Argument(
            help="List in gfn2-ensembles: geom-qm9, geom-drugs, qm9 or nci; pdb, ligands in proteins; or a file of "
            "reference conformers: .sdf, .npz ..."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON, with confidence intervals.")] = None,
    part: Annotated[
        str, typer.Option(help="test, or val for choices that must not be made on test molecules.")
    ] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="Number of molecules, the first of the list.")] = None,
    most: Annotated[
        int | None, typer.Option("--kmax", min=1, help="Most references of a molecule, evenly spread; all.")
    ] = None,
    nums: Annotated[
        list[int] | None,
        typer.Option("--num", min=1, help="--protocol bound: numbers of conformers; 1, 10, 50 and 200."),
    ] = None,
    checkpoint: Checkpoint = None,
    presets: Annotated[
        list[str] | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="Rows of the model: fast, representative, ensemble (-lowest: of the lowest energies), docking; mmff, "
            "relaxed; oversampled, the distinct ones of lowest energy of eight times as many. One row with the options "
            "alone by default.",
        ),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="Measure too: etkdg, etkdg-mmff (-4, -10: dielectric), etkdg-clustered, etkdg-oversampled, openconf, "
            "openconf-docking.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="torsional-diffusion (default) or geodiff; bound (default of pdb): ligands as seen in proteins."
        ),
    ] = None,
    posebusters: Annotated[bool, typer.Option("--posebusters", help="Run the checks of PoseBusters.")] = False,
    energies: Annotated[str | None, typer.Option(help="mmff or gfn2 (by the program xtb).")] = None,
    refine: Annotated[
        str | None, typer.Option(help="Relax all atoms: mmff; gfnff or gfn2 by the program xtb; none.")
    ] = None,
    retries: Annotated[
        int, typer.Option(help="Most times to draw a conformer of wrong stereo or too much drift again.")
    ] = 3,
    torsions: Annotated[
        Path | None,
        typer.Option(metavar="CHECKPOINT", help="Model of torsions that turns the rotatable bonds of all conformers."),
    ] = None,
    diverse: Annotated[bool, typer.Option("--diverse", help="Guide conformers of a molecule apart.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of model and baselines.")] = 0,
    sampler: Annotated[str | None, typer.Option(help="Sampler; the model's own default if not given.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; the model's own default if not given.")] = None,
    prior_scale: Annotated[float | None, typer.Option(help="Factor of the noise at the start of sampling.")] = None,
    max_drift: Annotated[
        float | None,
        typer.Option(help="Largest change by the last evaluation, relative to its size; beyond, draw again."),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    trust: Trusted = None,
) -> None:
    """Benchmark a conformer model on test molecules, with baselines if requested."""
    check_files(checkpoint=checkpoint, writes=[(out, [".json"])])
    check_files(checkpoint=torsions)
    options = {
        "seed": seed, "sampler": sampler, "num_steps": steps, "refine": refine, "diverse": diverse, "retries": retries,
        "prior_scale": prior_scale, "max_drift": max_drift, "workers": workers, "torsions": torsions,
    }  # fmt: skip
    requests = library.requests_of(presets or (), options)
    shared = {
        "limit": limit, "checkpoint": checkpoint, "trust": trust or (), "device": device, "requests": requests,
        "baselines": baselines or (),
    }  # fmt: skip
    protocol = protocol or (BOUND if source == library.PDB else "torsional-diffusion")
    if protocol == BOUND:
        if posebusters or energies or most:
            raise ValueError("--posebusters, --energies and --kmax are for ensembles, not for --protocol bound")
        prepare_process(console)
        with Counter(console, "sampling") as sampling:
            report = library.benchmark_bound(source, out, nums=nums or library.NUMS, sampling=sampling, **shared)
        library.show_bound(console, report)
        return
    if nums:
        raise ValueError("--num is for --protocol bound: other protocols set the number of conformers")
    measures = library.Measures(
        find(protocol, {BOUND: BOUND, **library.PROTOCOLS}, "protocol"), posebusters, energies, workers
    )
    prepare_process(console)
    with (
        Counter(console, "sampling") as sampling,
        Counter(console, "evaluating", below=sampling) as evaluating,
    ):
        report = library.benchmark(
            source, out, part=part, most=most, measures=measures, sampling=sampling, evaluating=evaluating, **shared
        )  # fmt: skip
    library.show_benchmark(console, report)


def view(
    file: Annotated[Path, typer.Argument(help="Graphs: conformers, .sdf .mol .mol2 .pdb .xyz .pt, or clouds, .pt")],
    out: Annotated[Path, typer.Option(help="The page, .html; picture of clouds, .png; or animated steps, .svg.")],
    reference: Annotated[
        Path | None, typer.Option(help="Reference conformers; each conformer is superposed on the closest one.")
    ] = None,
    trajectories: Annotated[
        list[Path] | None,
        typer.Option(
            "--trajectory", help="Steps from noise to the conformers, .sdf or .pt; records have `sample` and `step`."
        ),
    ] = None,
) -> None:
    """Draw the graphs of a file: molecules as a self-contained page for the browser, clouds as a picture."""
    check_files([file, reference, *(trajectories or ())], writes=[(out, library.viewed_extensions())])
    made = library.view_file(file, out, reference, trajectories or ())
    size, how = made.path.stat().st_size / 1024, "; open it in a browser" if made.path.suffix == ".html" else ""
    console.print(f"Wrote {made.path} ({size:,.0f} KiB): {made.content}{how}", markup=False)
    for note in made.notes[:10]:
        console.print(f"Not shown: {note}", markup=False)
    if len(made.notes) > 10:
        console.print(f"... and {len(made.notes) - 10} more")


def methods(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as in the README.")] = False,
) -> None:
    """Show the objectives and samplers that work with each noise process, by trying them all."""
    if markdown:
        typer.echo(library.markdown(library.try_all()), nl=False)
    else:
        library.show_methods(console, library.try_all())
