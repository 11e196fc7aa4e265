"""The commands ``data list``, ``data check``, ``data build``, ``data pack`` and ``data audit``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.cli.checks import check_files, data_path
from graphscore.cli.examples import Command, Group
from graphscore.cli.options import Overrides
from graphscore.cli.progress import Counter
from graphscore.data.packed.index import SKIPPED_FILE, is_packed
from graphscore.data.sources import find_files
from graphscore.domains import gather
from graphscore.registry import find

data_app = typer.Typer(
    help="List, build and audit data sets; check and pack your own graphs.", no_args_is_help=True, cls=Group
)
console = Console()


@data_app.command("list", cls=Command)
def list_data() -> None:
    """List the data sets that configurations can name."""
    library.show_datasets(console)


@data_app.command("check", cls=Command)
def check_data(
    data: Annotated[
        list[str] | None,
        typer.Argument(metavar="[[PART=]PATH]...", help="File, folder or pattern; or train=PATH, val=PATH, test=PATH."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(help="Configuration that is to train on the data, or on its own: a name, or a YAML file."),
    ] = None,
    changes: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON, with the places of all faults.")] = None,
) -> None:
    """Tell everything that would stop or spoil training on data: the exit code is 1 if something would."""
    path = data_path(data or ())
    check_files(writes=[(out, [".json"])])
    for each in path.values() if isinstance(path, dict) else filter(None, [path]):
        find_files(each)
    if config is not None:
        checked = library.load_config(config, changes or (), path)
    elif path is None:
        raise ValueError("Expected data, a configuration by --config, or both, but got neither")
    elif changes:
        raise ValueError("--set changes a configuration: name it, by --config")
    else:
        checked = path
    with Counter(console, "checking") as progress:
        report = library.check_data(checked, out, progress)
    library.show_check(console, report)
    if not report["fit"]:
        raise typer.Exit(1)


@data_app.command("build", cls=Command)
def build_data(
    name: Annotated[str, typer.Argument(help="Name of a data set; see `graphscore data list`.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("data"),
    workers: Annotated[int, typer.Option(help="Processes; 0 takes one for each core.")] = 0,
    smiles: Annotated[
        list[Path] | None, typer.Option(help="Ensembles: a list of molecules, .smi or .csv, also with .gz.")
    ] = None,
    test: Annotated[list[Path] | None, typer.Option(help="gfn2-ensembles: a list of test molecules.")] = None,
    exclude: Annotated[list[Path] | None, typer.Option(help="Ensembles: a list never to train on.")] = None,
    limit: Annotated[int | None, typer.Option(help="Ensembles: largest number of molecules of each list.")] = None,
    part: Annotated[str | None, typer.Option(help="Ensembles: only this part of lists that are split.")] = None,
    level: Annotated[
        str | None,
        typer.Option(
            help="gfn2-ensembles: gfn2, or the faster mmff94, to pretrain on; wide-ensembles: gfn2//gfnff, or the "
            "faster gfn2//mmff94, from samples of the shipped model."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="pdb-ligands: ligands as refined, .npz.")] = None,
) -> None:
    """Build a data set from its sources; ensembles resume an interrupted build."""
    recipe = find(name, gather("recipes"), "data set that can be built" if name in library.datasets() else "data set")
    given = {"smiles": smiles, "test": test, "exclude": exclude, "limit": limit, "part": part, "level": level}
    options = {key: value for key, value in (given | {"data": data}).items() if value}
    if wrong := options.keys() - inspect.signature(recipe).parameters.keys():
        raise ValueError(f"{name} takes no {', '.join(f'--{key}' for key in sorted(wrong))}")
    with Counter(console, "building") as progress:
        files = recipe(out, workers, progress, **options)
    console.print("Wrote " + ", ".join(str(file) for file in files))


@data_app.command("pack", cls=Command)
def pack_data(
    source: Annotated[Path, typer.Argument(metavar="IN", help="File, folder or pattern of graphs.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    config: Annotated[
        str | None, typer.Option(help="Apply the transforms of this configuration once, to train with them.")
    ] = None,
    changes: Overrides = None,
    workers: Annotated[int, typer.Option(help="Processes; 0 takes one for each core, where they pay.")] = 0,
) -> None:
    """Pack graphs into a folder to train on without holding them in memory; run again, it resumes an unfinished one."""
    find_files(source)
    if is_packed(out):
        raise ValueError(f"{out} already holds packed graphs; choose another folder")
    if config is None and changes:
        raise ValueError("--set changes a configuration: name one by --config")
    preparation = None if config is None else library.build_preparation(library.load_config(config, changes or ()))
    with Counter(console, "packing") as progress:
        packed = library.pack(source, out, preparation, workers, progress)
    console.print(f"Wrote {len(packed):,} graphs to {out}; train on them by: graphscore train --data {out} ...")
    if packed.num_skipped:
        console.print(f"{packed.num_skipped:,} records could not be packed; {out / SKIPPED_FILE} says why")


@data_app.command("audit", cls=Command)
def audit_data(
    path: Annotated[Path | None, typer.Argument(help="Data file; by default the embedded gfn2-ensembles.")] = None,
    molecules: Annotated[int, typer.Option(min=1, help="Number of molecules to search again.")] = 100,
    source: Annotated[list[str] | None, typer.Option(help="Draw from this list of molecules.")] = None,
    part: Annotated[str, typer.Option(help="Draw from this part.")] = "train",
    counts: Annotated[
        list[Path] | None, typer.Option(help="Compare with the column n_conformers of this table instead, .csv.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; 0 takes one for each core.")] = 0,
) -> None:
    """Audit the completeness of ensembles by a second search, or by GEOM's numbers of conformers."""
    if counts:
        report = library.audit_counts(counts, path)
    else:
        with Counter(console, "searching") as progress:
            report = library.audit_second_seed(path, molecules, source, part, workers, progress)
    library.show_audit(console, report)
