"""The commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    name="graphscore",
    help="Train score-based models on graphs, and generate node coordinates with them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Add --debug to any command for a full traceback on errors.",
)
data_app = typer.Typer(help="List the data sets, or build one.", no_args_is_help=True)
app.add_typer(data_app, name="data")
console = Console()

RECIPES = {"small-molecules": "graphscore.data.small_molecules_recipe:build"}

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the configuration.")
]


def _prepare() -> None:
    """Set up the process, of which the command is master, for training and sampling."""
    from graphscore.runtime import prepare

    if hint := prepare().hint:
        console.print(f"Hint: {hint}")


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
    from graphscore.cli.show import show_demo
    from graphscore.config import load_config
    from graphscore.demo import run_demo

    settings = load_config(config, changes or ())
    _prepare()
    result = run_demo(settings, out, num_groups=groups, say=console.print)
    show_demo(console, result, out)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    config: Annotated[str, typer.Option(help="Name of a configuration or a YAML file.")],
    data: Annotated[
        Path | None, typer.Option(help="Train on this file instead of the configuration's data set.")
    ] = None,
    changes: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
) -> None:
    """Train a model."""
    from graphscore.config import load_config
    from graphscore.experiment import SKIPPED_FILE
    from graphscore.experiment import train as run

    settings = load_config(config, changes or ())
    _prepare()
    path, dataset = run(settings if data is None else settings.with_file(data), out, resume=resume)
    if failures := getattr(dataset, "failures", []):
        console.print(f"{len(failures)} records were not used; {out / SKIPPED_FILE} says why")
    console.print(f"Wrote {path}; sample from it by: graphscore sample --checkpoint {path} ...")


@app.command()
def sample(
    checkpoint: Annotated[Path, typer.Option(help="A model.safetensors, or the folder of a run.")],
    out: Annotated[Path, typer.Option(help="Output file: .sdf, .xyz or .pt.")],
    smiles: Annotated[list[str] | None, typer.Argument(metavar="[SMILES]...", help="Molecules.")] = None,
    inputs: Annotated[
        Path | None, typer.Option("--input", help="Graphs: .smi .csv .sdf .mol .xyz .graphml .pt")
    ] = None,
    num: Annotated[int, typer.Option(help="Samples of each input.")] = 1,
    sampler: Annotated[
        str | None, typer.Option(help="Sampler, see `graphscore methods`; the model's own default if not given.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; the model's own default if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same samples.")] = 0,
) -> None:
    """Generate coordinates (or other fields) for molecules or graphs with a trained model."""
    from graphscore.cli.show import Counter
    from graphscore.inference import read_inputs, sample_file

    found = read_inputs(smiles or [], inputs)
    _prepare()
    with Counter(console, "sampling") as progress:
        report = sample_file(
            checkpoint, found, out, num=num, sampler=sampler, num_steps=steps, seed=seed, progress=progress
        )
    console.print(f"Wrote {report['num_written']} samples of {report['num_sampled']} input(s) to {out}")
    if report["num_wrong_stereo"]:
        console.print(
            f"{report['num_wrong_stereo']} of them have another stereochemistry than asked for, which is not yet an "
            f"input of the model; {report['path']} counts them for each input"
        )
    if report["num_failed"]:
        console.print(f"{report['num_failed']} input(s) failed; reasons are in {report['path']}")


@app.command()
def evaluate(
    generated: Annotated[Path, typer.Argument(help="Generated conformers, .sdf, .xyz or .pt.")],
    reference: Annotated[Path, typer.Argument(help="Reference conformers of the same molecules.")],
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
) -> None:
    """Compare generated conformers with reference conformers: recall, precision, coverage."""
    from graphscore.cli.show import show_conformers
    from graphscore.inference import evaluate_files

    report = evaluate_files(generated, reference, out)
    show_conformers(console, {"generated": report})
    if report["skipped"]:
        console.print(
            f"{len(report['skipped'])} records or molecules were left out: {report['skipped'][0]['reason']} ..."
        )


@app.command()
def methods(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as in the README.")] = False,
) -> None:
    """Show which objectives and samplers work with which noise processes, by trying them all."""
    from graphscore import methods as combinations
    from graphscore.cli.show import show_methods

    if markdown:
        typer.echo(combinations.markdown(), nl=False)
    else:
        show_methods(console, combinations.try_all())


@data_app.command("list")
def list_data() -> None:
    """List the data sets that configurations can name."""
    from graphscore.cli.show import show_datasets

    show_datasets(console)


@data_app.command("build")
def build_data(
    name: Annotated[str, typer.Argument(help="Name of a data set; see `graphscore data list`.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("data"),
    workers: Annotated[int, typer.Option(help="Processes; 0 takes one for each core.")] = 0,
) -> None:
    """Compute a data set again from its sources."""
    from graphscore.cli.show import Counter
    from graphscore.data import DATASETS
    from graphscore.registry import find

    recipe = find(name, RECIPES, "data set that can be built" if name in DATASETS else "data set")
    with Counter(console, "building") as progress:
        files = recipe(out, workers, progress)
    console.print("Wrote " + ", ".join(str(file) for file in files))
