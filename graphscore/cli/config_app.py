"""The commands ``config list | show | new | keys | schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from graphscore.cli import library
from graphscore.cli.checks import check_files
from graphscore.cli.examples import Command, Group
from graphscore.cli.options import Overrides, complete_config
from graphscore.data.sources import find_files

config_app = typer.Typer(help="Find, show, make and explain configurations.", no_args_is_help=True, cls=Group)
console = Console()


@config_app.command("list", cls=Command)
def list_configs() -> None:
    """List the configurations that come with the library."""
    library.show_configs(console)


@config_app.command("show", cls=Command)
def show_config(
    source: Annotated[
        str,
        typer.Argument(
            help="Name of a configuration, YAML file, folder of a run, or model file.", autocompletion=complete_config
        ),
    ],
    changes: Overrides = None,
    full: Annotated[bool, typer.Option("--full", help="Fill in all defaults.")] = False,
) -> None:
    """Show a configuration as YAML: as it is, with comments; or with changes, or with all defaults."""
    typer.echo(library.show_config(source, changes or (), full), nl=False)


@config_app.command("new", cls=Command)
def new_config(
    data: Annotated[Path, typer.Option(help="Graphs to train on: a file, a folder, or a pattern.")],
    out: Annotated[Path, typer.Option(help="Configuration to write, .yaml.")],
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME", help="Attribute that diffuses; by default pos, or else x."),
    ] = None,
    conditions: Annotated[
        list[str] | None, typer.Option("--condition", metavar="NAME", help="Attribute that samples depend on.")
    ] = None,
) -> None:
    """Look at data, and write a commented configuration that trains on them."""
    check_files(writes=[(out, [".yaml", ".yml"])])
    if out.exists():
        raise ValueError(f"{out} exists, and may have been edited: choose another name, or remove it")
    find_files(data)
    proposal = library.propose(data, fields or (), conditions or ())
    out.write_text(proposal.text, encoding="utf-8")
    library.show_proposal(console, proposal, out)


@config_app.command("keys", cls=Command)
def show_keys(
    section: Annotated[
        str,
        typer.Argument(
            help="Section or key, such as training; key of a component, such as network.backbone, for the names that "
            "it can have; one of them, such as network.backbone.egnn, for its options."
        ),
    ] = "",
) -> None:
    """List the keys of configurations with their types, defaults and meanings."""
    library.show_keys(console, library.list_keys(section))


@config_app.command("schema", cls=Command)
def write_schema(
    out: Annotated[Path | None, typer.Option(help="Write to this file, .json.")] = None,
) -> None:
    """Print the JSON schema of configurations, by which editors complete and check YAML files.

    In editors with a YAML language server, the first line of a file names it: # yaml-language-server: $schema=FILE
    """
    check_files(writes=[(out, [".json"])])
    text = json.dumps(library.json_schema(), indent=1, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        console.print(f"Wrote {out}", markup=False, soft_wrap=True)
