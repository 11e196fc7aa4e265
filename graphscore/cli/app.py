"""The command ``sample``, and the application with all commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.cli.checks import check_files, check_part, check_source, check_start
from graphscore.cli.config_app import config_app
from graphscore.cli.data_app import data_app
from graphscore.cli.engines import check_shared, shared
from graphscore.cli.errors import Stopped
from graphscore.cli.examples import Command, Group
from graphscore.cli.info import doctor, info
from graphscore.cli.layout import layout
from graphscore.cli.likelihood import likelihood
from graphscore.cli.measure import benchmark, evaluate, methods, view
from graphscore.cli.options import (
    Charge,
    Checkpoint,
    Device,
    Format,
    PartOfRun,
    Trusted,
    Workers,
    completing,
)
from graphscore.cli.progress import Counter, prepare_process, show_notes
from graphscore.cli.quantize import quantize
from graphscore.cli.stdin import spooled
from graphscore.cli.train import demo, train
from graphscore.cli.validate import validate
from graphscore.data.writers import TRAJECTORIES
from graphscore.molecules.domain import MOLECULES
from graphscore.runtime.startup import SLOW, postponed
from graphscore.runtime.version import __version__


class _Commands(Group):
    """Group of commands that pass on the message of an interruption."""

    def invoke(self, ctx: typer.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise Stopped(interrupt) from interrupt


app = typer.Typer(
    name="graphscore",
    cls=_Commands,
    help="Train score-based models on graphs, and generate node coordinates with them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Add --debug to any command for a full traceback on errors.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"graphscore {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")
console = Console()


for command in (demo, train):
    app.command(cls=Command)(command)


@app.command(cls=Command)
def sample(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Output: .sdf .xyz .graphml (also .gz) .graphml.zip .npz .pt .csv.")],
    smiles: Annotated[list[str] | None, typer.Argument(metavar="[SMILES]...", help="Molecules.")] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="Graphs: a file, .smi .csv .sdf .mol2 .xyz .graphml .pt .npz ...; a folder; a pattern; - for stdin",
        ),
    ] = None,
    part: PartOfRun = None,
    format: Format = None,
    charge: Charge = None,
    num: Annotated[int | None, typer.Option(help="Samples of each input; 1, or as many as the preset says.")] = None,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same samples.")] = 0,
    checkpoint: Checkpoint = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "--for",
            help="fast, representative, ensemble, docking or analogue: sets of options for molecules; given ones win.",
            autocompletion=completing("fast", "representative", "ensemble", "docking", "analogue"),
        ),
    ] = None,
    refine: Annotated[
        str | None,
        typer.Option(
            help="Relax all atoms: mmff, by MMFF94; gfnff, gfn2, by GFN-FF, GFN2 and the program xtb; none.",
            autocompletion=completing("mmff", "gfnff", "gfn2", "none"),
        ),
    ] = None,
    dielectric: Annotated[
        float | None, typer.Option(help="Dielectric constant of MMFF94: 1 for vacuum, 4 to 10 for ligands in proteins.")
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(help="For models that know: gas (default), crystal (that of --preset docking) or solvent."),
    ] = None,
    energy_rank: Annotated[
        bool | None,
        typer.Option(
            "--energy-rank/--no-energy-rank", help="Sort the conformers of a molecule by energy.", show_default=False
        ),
    ] = None,
    oversample: Annotated[
        int | None, typer.Option(help="Draw so many times as many conformers, and keep the best.")
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(help="Which of them: those of the lowest energies, or representative of all that were drawn."),
    ] = None,
    rmsd_cutoff: Annotated[
        float | None, typer.Option(help="Smallest heavy-atom RMSD of two conformers, in Angstrom, after relaxing.")
    ] = None,
    energy_window: Annotated[
        float | None, typer.Option(help="Largest energy above the lowest conformer, in kcal/mol.")
    ] = None,
    max_energy: Annotated[float | None, typer.Option(help="Largest energy itself, in kcal/mol.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of the Boltzmann weights of relaxed conformers, in kelvin; 298.15.")
    ] = None,
    stereo: Annotated[
        str | None,
        typer.Option(
            help="Unmarked centres and double bonds: as-given, either in each conformer; any, one isomer of each "
            "molecule; enumerate, each isomer as a molecule of its own, 32 at most."
        ),
    ] = None,
    torsions: Annotated[
        Path | None,
        typer.Option(metavar="CHECKPOINT", help="Model of torsions that turns the rotatable bonds of all conformers."),
    ] = None,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Guide the samples of an input away from each other.")
    ] = False,
    complete: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Sample the rows of NaN alone, and keep the others: resampling, or moments (of the posterior).",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Graphs with coordinates, such as conformers, poses or frames, to start from (SDEdit), with --noise; "
            "each is an input, or belongs to the input of the same graph.",
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(metavar="LEVEL", help="Noise that --start gets, from 0, none, to 1: the less, the closer to it."),
    ] = None,
    fix: Annotated[
        str | None, typer.Option(metavar="SMARTS", help="Fix the matching atoms at their coordinates in --from.")
    ] = None,
    template: Annotated[Path | None, typer.Option("--from", help="A molecule with coordinates, for --fix.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Leave out conformers that would carry a warning; they are failures then.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds for an input, after which nothing is drawn again or repaired.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="JSON report; by default OUT.report.json.")] = None,
    trajectory: Annotated[
        Path | None,
        typer.Option(help="Also write all sampling steps: .sdf of molecules, .pt or .npz of others."),
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="Sampler, see `graphscore methods`; the model's own default if not given.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; the model's own default if not given.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a sampling option of the model, such as sampler.eta=0.5 or guidance.0.strength=2, see "
            "`graphscore config keys sampling`.",
        ),
    ] = None,
    workers: Workers = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Share the inputs among the workers of a Dask cluster: tcp://host:8786, or its scheduler file.",
        ),
    ] = None,
    device: Device = "auto",
    trust: Trusted = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume this job, if it was stopped or killed; the result is the same.")
    ] = False,
) -> None:
    """Generate coordinates (or other fields) for molecules or graphs with a trained model.

    Samples are written as they come to NAME.partial.sdf (or another extension) beside OUT, and moved to OUT at the
    end. If a job is stopped or killed, they are kept there: the same command with --resume continues with the remaining
    inputs.
    """
    place = check_shared(dask, workers, trajectory, str(inputs) == "-")
    inputs, format = ctx.with_resource(spooled(inputs, format))
    inputs, start = check_start(smiles, inputs, start, noise, part)
    others = {"SMILES strings": smiles, "--input": inputs, "--format": format, "--charge": charge}
    of_run = check_part(part, checkpoint, others)
    if of_run is None:
        check_source(smiles or (), inputs, format)
    written = [(out, None), (report, [".json"]), (trajectory, TRAJECTORIES)]
    check_files([inputs, template, start], checkpoint, written, format)
    check_files(checkpoint=torsions)
    if changes:
        library.check_sampling(checkpoint or MOLECULES.weights or "", changes, sampler)
    options = {"seed": seed, "sampler": sampler, "num_steps": steps, "diverse": diverse, "workers": workers}
    chosen = {
        "num": num, "preset": preset, "refine": refine, "dielectric": dielectric, "environment": environment,
        "energy_rank": energy_rank, "oversample": oversample, "select": select, "rmsd_cutoff": rmsd_cutoff,
        "max_energy": max_energy, "energy_window": energy_window, "temperature": temperature, "stereo": stereo,
        "strict": strict or None, "timeout": timeout, "changes": changes, "complete": complete, "noise": noise,
        "torsions": torsions,
    }  # fmt: skip
    options |= {name: value for name, value in chosen.items() if value is not None}
    with postponed(*SLOW):
        if (fragment := library.read_fragment(fix, template)) is not None:
            options["fragment"] = fragment
        files = library.Files(out, report, trajectory)
        if of_run is None:
            given = library.Inputs(smiles or (), inputs, format, charge)
            given = given if start is None else library.StartedInputs(given, library.Inputs((), start))
        else:
            given = library.PartInputs(*of_run, trust or ())
        engine = ctx.with_resource(shared(place, dask, device))
        job = library.FileJob(given, files, options, checkpoint, device, trust or (), resume, engine)
    if engine is not None and not engine.is_first:
        job.help()
        return
    show_notes(console, given.notes)
    prepare_process(console)
    with Counter(console, "sampling") as progress:
        result = job.run(progress)
    library.show_sampled(console, result)


for command in (layout, likelihood, validate, evaluate, benchmark, view, info, quantize, doctor, methods):
    app.command(cls=Command)(command)
