"""The commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from graphscore.cli import Stopped
from graphscore.cli.data_app import data_app


class _Commands(TyperGroup):
    """Commands that say that, and how, they were interrupted."""

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
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Add --debug to any command for a full traceback on errors.",
)
app.add_typer(data_app, name="data")
console = Console()

Checkpoint = Annotated[
    Path | None,
    typer.Option(help="A model.safetensors, the folder of a run, or shipped weights by name: conformers, the default."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes that share the work; by default one for each thread if a measurement says that it pays."
    ),
]
Trusted = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        metavar="MODULE",
        help="A module of yours whose code a model's file may ask for by name.",
    ),
]
Device = Annotated[
    str, typer.Option(help="Where the network computes: cpu, cuda or cuda:N; auto takes a CUDA GPU if there is one.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the configuration.")
]


def _prepare() -> None:
    """Set up the process, of which the command is master, for training and sampling."""
    from graphscore.runtime.settings import prepare

    if hint := prepare(spare_cores=True).hint:
        console.print(f"Hint: {hint}", soft_wrap=True)


@app.command()
def demo(
    config: Annotated[str, typer.Option(help="Name of a configuration or a YAML file.")] = "small-molecules",
    out: Annotated[Path, typer.Option(help="Folder for the results; an earlier demo there is replaced.")] = Path(
        "runs/demo"
    ),
    groups: Annotated[int, typer.Option(help="Test molecules (or other groups) to sample.")] = 60,
    changes: Overrides = None,
) -> None:
    """Train on embedded real data, generate for what was never seen, measure and show it: a few minutes."""
    from graphscore.experiment.schema import load_config

    settings = load_config(config, changes or ())
    from graphscore.cli.show import show_demo
    from graphscore.experiment.demo import run_demo

    _prepare()
    result = run_demo(settings, out, num_groups=groups, spare_cores=True, say=console.print)
    show_demo(console, result)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    config: Annotated[str, typer.Option(help="Name of a configuration or a YAML file.")],
    data: Annotated[
        Path | None, typer.Option(help="Train on this file instead of the configuration's data set.")
    ] = None,
    changes: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    init: Annotated[
        Path | None,
        typer.Option(help="Start from the weights of such a --checkpoint as `graphscore sample` takes."),
    ] = None,
) -> None:
    """Train a model."""
    from graphscore.cli.checks import check_files
    from graphscore.data.sources import find_files
    from graphscore.experiment.schema import load_config

    settings = load_config(config, changes or ())
    check_files(checkpoint=init)
    if data is not None:
        find_files(data)
    from graphscore.experiment.run import SKIPPED_FILE
    from graphscore.experiment.run import train_model as run

    _prepare()
    settings = settings if data is None else settings.with_file(data)
    path, dataset = run(settings, out, resume=resume, init=init, spare_cores=True)
    if failures := getattr(dataset, "failures", []):
        console.print(f"{len(failures)} records were not used; {out / SKIPPED_FILE} says why")
    own = "".join(f" --trust {module}" for module in sorted({name.partition(":")[0] for name in settings.trust.names}))
    console.print(f"Wrote {path}; sample from it by: graphscore sample --checkpoint {path}{own} ...", soft_wrap=True)


@app.command()
def sample(
    out: Annotated[Path, typer.Option(help="Output file: .sdf, .xyz or .pt.")],
    smiles: Annotated[list[str] | None, typer.Argument(metavar="[SMILES]...", help="Molecules.")] = None,
    inputs: Annotated[
        Path | None, typer.Option("--input", help="Graphs: .smi .csv .sdf .mol .xyz .graphml .pt")
    ] = None,
    num: Annotated[int, typer.Option(help="Samples of each input.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same samples.")] = 0,
    checkpoint: Checkpoint = None,
    refine: Annotated[str, typer.Option(help="mmff relaxes all atoms in the force field MMFF94; none.")] = "none",
    energy_rank: Annotated[
        bool, typer.Option("--energy-rank", help="Sort the conformers of a molecule by their MMFF94 energy.")
    ] = False,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Let the samples of an input keep away from each other.")
    ] = False,
    fix: Annotated[
        str | None, typer.Option(metavar="SMARTS", help="Hold the atoms that match where --from has them.")
    ] = None,
    template: Annotated[Path | None, typer.Option("--from", help="A molecule with coordinates, for --fix.")] = None,
    report: Annotated[Path | None, typer.Option(help="JSON report; by default OUT.report.json.")] = None,
    trajectory: Annotated[Path | None, typer.Option(help="Write each step of each sample to this .sdf too.")] = None,
    sampler: Annotated[
        str | None, typer.Option(help="Sampler, see `graphscore methods`; the model's own default if not given.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; the model's own default if not given.")] = None,
    workers: Workers = None,
    device: Device = "auto",
    trust: Trusted = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with this job where it was stopped or killed, to the same file.")
    ] = False,
) -> None:
    """Generate coordinates (or other fields) for molecules or graphs with a trained model.

    Samples are written as they come, to NAME.partial.sdf (or .xyz, .pt) beside OUT, which has them all at the end. What
    a stopped or killed job made is kept there: the same command with --resume goes on with the inputs that are left.
    """
    from graphscore.cli.checks import check_files, check_source
    from graphscore.runtime.startup import SLOW, postponed

    check_source(smiles or (), inputs)
    check_files([template], checkpoint, [(out, None), (report, [".json"]), (trajectory, [".sdf"])])
    with postponed(*SLOW):
        from graphscore.cli.inputs import Inputs, read_fragment
        from graphscore.cli.sample import FileJob, Files
        from graphscore.cli.show import Counter, show_sampled

    options = {"num": num, "seed": seed, "sampler": sampler, "num_steps": steps, "diverse": diverse, "workers": workers}
    if refine != "none":
        options["refine"] = refine
    if energy_rank:
        options["energy_rank"] = True
    if (fragment := read_fragment(fix, template)) is not None:
        options["fragment"] = fragment
    files = Files(out, report, trajectory)
    job = FileJob(Inputs(smiles or (), inputs), files, options, checkpoint, device, trust or (), resume)
    _prepare()
    with Counter(console, "sampling", waits=True) as progress:
        result = job.run(progress)
    show_sampled(console, result)


@app.command()
def evaluate(
    generated: Annotated[Path, typer.Argument(help="Generated graphs, such as conformers: .sdf, .xyz or .pt.")],
    reference: Annotated[Path, typer.Argument(help="Reference graphs, such as conformers of the same molecules.")],
    protocol: Annotated[
        str | None,
        typer.Option(help="torsional-diffusion (default) or geodiff: their numbers must not be compared."),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="NAME", help="Measure etkdg, etkdg-mmff or etkdg-clustered too."),
    ] = None,
    posebusters: Annotated[bool, typer.Option("--posebusters", help="Run the checks of PoseBusters.")] = False,
    energies: Annotated[
        str | None, typer.Option(help="mmff or gfn2 (by the program xtb): strain and ensemble properties.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the baselines.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON, with confidence intervals.")] = None,
    workers: Workers = None,
) -> None:
    """Compare generated graphs with references: conformers by recall, precision, stereochemistry, geometry."""
    from graphscore.cli.checks import check_files

    check_files([generated, reference], writes=[(out, [".json"])])
    from graphscore.cli.show import Counter, show_evaluation
    from graphscore.experiment.files import evaluate_files

    given = {
        "protocol": protocol,
        "baselines": baselines,
        "posebusters": posebusters or None,
        "energies": energies,
        "seed": seed,
        "workers": workers,
    }
    options = {name: value for name, value in given.items() if value is not None}
    with Counter(console, "evaluating", waits=True) as progress:
        evaluation = evaluate_files(generated, reference, out, progress=progress, **options)
    show_evaluation(console, evaluation)


@app.command()
def benchmark(
    source: Annotated[str, typer.Argument(help="List in gfn2-ensembles: geom-qm9, geom-drugs, qm9 or nci.")],
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON, with confidence intervals.")] = None,
    part: Annotated[
        str, typer.Option(help="test, or val for choices that must not be made on test molecules.")
    ] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many molecules.")] = None,
    checkpoint: Checkpoint = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="NAME", help="Measure etkdg, etkdg-mmff or etkdg-clustered too."),
    ] = None,
    protocol: Annotated[str, typer.Option(help="torsional-diffusion or geodiff.")] = "torsional-diffusion",
    posebusters: Annotated[bool, typer.Option("--posebusters", help="Run the checks of PoseBusters.")] = False,
    energies: Annotated[str | None, typer.Option(help="mmff or gfn2 (by the program xtb).")] = None,
    refine: Annotated[str, typer.Option(help="mmff relaxes all atoms in the force field MMFF94; none.")] = "none",
    retries: Annotated[
        int, typer.Option(help="How often a conformer of wrong stereo or with too much drift is drawn again at most.")
    ] = 3,
    diverse: Annotated[bool, typer.Option("--diverse", help="Let conformers of a molecule keep apart.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of model and baselines.")] = 0,
    sampler: Annotated[str | None, typer.Option(help="Sampler; the model's own default if not given.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; the model's own default if not given.")] = None,
    prior_scale: Annotated[float | None, typer.Option(help="Factor of the noise that sampling starts from.")] = None,
    max_drift: Annotated[
        float | None,
        typer.Option(help="Draw again what moves more in the last evaluation, relative to its size."),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    trust: Trusted = None,
) -> None:
    """Measure a conformer model on molecules it has never seen, with RDKit beside it."""
    from graphscore.cli.checks import check_files

    check_files(checkpoint=checkpoint, writes=[(out, [".json"])])
    from graphscore.cli.show import Counter
    from graphscore.molecules.benchmark import benchmark as run
    from graphscore.molecules.conformers import ConformerRequest
    from graphscore.molecules.evaluate import Measures
    from graphscore.molecules.metrics.protocols import PROTOCOLS
    from graphscore.molecules.show.tables import show_benchmark
    from graphscore.registry import find

    measures = Measures(find(protocol, PROTOCOLS, "protocol"), posebusters, energies, workers)
    request = ConformerRequest(
        seed=seed,
        sampler=sampler,
        num_steps=steps,
        refine=refine,
        diverse=diverse,
        retries=retries,
        prior_scale=prior_scale,
        max_drift=max_drift,
        workers=workers,
    )
    _prepare()
    with (
        Counter(console, "sampling", waits=True) as sampling,
        Counter(console, "evaluating", waits=True) as evaluating,
    ):
        report = run(
            source, out, part=part, limit=limit, checkpoint=checkpoint, trust=trust or (), device=device,
            request=request, measures=measures, baselines=baselines or (), sampling=sampling, evaluating=evaluating,
        )  # fmt: skip
    show_benchmark(console, report)


@app.command()
def view(
    file: Annotated[Path, typer.Argument(help="Graphs: conformers, .sdf .mol .xyz .pt, or clouds, .pt")],
    out: Annotated[Path, typer.Option(help="The page, .html, or the picture of clouds, .png.")],
    reference: Annotated[
        Path | None, typer.Option(help="Reference conformers; each conformer is laid onto the closest one.")
    ] = None,
    trajectories: Annotated[
        list[Path] | None,
        typer.Option(
            "--trajectory", help="Steps from noise to the conformers, .sdf or .pt; records have `sample` and `step`."
        ),
    ] = None,
) -> None:
    """Draw graphs: molecules as a page to look at in a browser, one file that needs no network; clouds as a picture."""
    from graphscore.cli.checks import check_files
    from graphscore.experiment.files import view_file, viewed_extensions

    check_files([file, reference, *(trajectories or ())], writes=[(out, viewed_extensions())])
    made = view_file(file, out, reference, trajectories or ())
    size, how = made.path.stat().st_size / 1024, "; open it in a browser" if made.path.suffix == ".html" else ""
    console.print(f"Wrote {made.path} ({size:,.0f} KiB): {made.content}{how}", markup=False)
    for note in made.notes[:10]:
        console.print(f"Not shown: {note}", markup=False)
    if len(made.notes) > 10:
        console.print(f"... and {len(made.notes) - 10} more")


@app.command()
def methods(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as in the README.")] = False,
) -> None:
    """Show which objectives and samplers work with which noise processes, by trying them all."""
    from graphscore.cli.show import show_methods
    from graphscore.testing import combinations

    if markdown:
        typer.echo(combinations.markdown(combinations.try_all()), nl=False)
    else:
        show_methods(console, combinations.try_all())
