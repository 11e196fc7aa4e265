"""Pages made from the code: the reference of Python, of the command line and of configurations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Folders and modules of the package, in the order of the data flow, with the modules that a user may call. A package
# that lists its names (`__all__`) stands for them.
REFERENCE: dict[str, list[str]] = {
    "fields": ["fields"],
    "sdes": ["sdes"],
    "process": ["process"],
    "times": ["times"],
    "nn": ["nn"],
    "denoiser": ["denoiser", "denoiser.denoisers"],
    "objectives": ["objectives"],
    "samplers": ["samplers"],
    "guidance": ["guidance"],
    "data": [
        "data",
        "data.normalization",
        "data.derived",
        "data.packed.packing",
        "data.packed.store",
        "data.checksums",
    ],
    "train": ["train.engine", "train.task", "train.options", "train.ema", "train.augmentation", "train.optimizers"],
    "generate": ["generate.jobs", "generate.inputs", "generate.outcome", "generate.representatives"],
    "experiment": [
        "experiment.pretrained",
        "experiment.estimator",
        "experiment.quantization",
        "experiment.training.run",
        "experiment.training.split_record",
        "experiment.sampling.pipeline",
        "experiment.sampling.request",
        "experiment.sampling.completion",
        "experiment.config.schema",
        "experiment.config.keys",
        "experiment.data_check.check",
        "experiment.evaluation.graphs",
        "experiment.evaluation.two_sample",
        "experiment.evaluation.intervals",
        "experiment.evaluation.wasserstein",
    ],
    "molecules": [
        "molecules.conformers",
        "molecules.request",
        "molecules.outcome",
        "molecules.embedder",
        "molecules.readers",
        "molecules.graph",
        "molecules.features",
        "molecules.ensemble",
        "molecules.forcefield",
        "molecules.starts",
        "molecules.fragments",
        "molecules.check",
        "molecules.torsions",
        "molecules.evaluate",
        "molecules.benchmark",
        "molecules.metrics.conformers",
        "molecules.metrics.rmsd",
        "molecules.metrics.stereo",
        "molecules.metrics.energies",
    ],
    "clouds": ["clouds.digits", "clouds.surfaces", "clouds.folders", "clouds.distances", "clouds.metrics"],
    "layouts": ["layouts.layout", "layouts.energies", "layouts.metrics", "layouts.stress", "layouts.rome"],
    "poses": ["poses.model", "poses.cmu", "poses.skeleton", "poses.metrics"],
    "testing": ["testing"],
    "domains": ["domains"],
    "registry": ["registry"],
    "ops": ["ops"],
    "rng": ["rng"],
    "linalg": [
        "linalg.kabsch",
        "linalg.covariance",
        "linalg.divergence",
        "linalg.encodings",
        "linalg.residuals",
        "linalg.rotations",
        "linalg.runge_kutta",
    ],
    "runtime": ["runtime.settings", "runtime.precision"],
}


def generated() -> dict[str, str]:
    """Make the pages: Markdown by path on the site."""
    pages = {f"reference/{folder}.md": reference(folder, modules) for folder, modules in REFERENCE.items()}
    return pages | {
        "reference/index.md": names(),
        "reference/configuration.md": configuration(),
        "reference/commands.md": commands(),
        "concepts/what-works.md": what_works(),
    }


def reference(folder: str, modules: list[str]) -> str:
    """Make the page of a folder of the package."""
    if modules == [folder]:
        return f"::: graphscore.{folder}\n    options: {{heading_level: 1}}\n"
    blocks = "\n\n".join(f"::: graphscore.{module}" for module in modules)
    return f"# graphscore.{folder}\n\n{first_sentence(folder)}\n\n{blocks}\n"


def first_sentence(module: str) -> str:
    """Read the first paragraph of the docstring of a folder or module, without importing it."""
    path = ROOT / "graphscore" / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(re.split(r"\n\n", text)[0].split())


def names() -> str:
    """Make the page of all names of ``graphscore`` and its folders."""
    import graphscore

    lines = [
        "# Python reference",
        "",
        "Every public name of the library, from its docstrings. `import graphscore as gs` offers the names of the first"
        " table; they are loaded when they are first used.",
        "",
        "| `gs.` | |",
        "|---|---|",
        *(f"| [`{name}`][graphscore.{home}.{name}] | {summary(home, name)} |" for name, home in homes(graphscore)),
        "",
        "The folders of the package, in the order in which data flow:",
        "",
        "| | |",
        "|---|---|",
        *(f"| [`graphscore.{folder}`]({folder}.md) | {first_sentence(folder)} |" for folder in REFERENCE),
        "",
        "The [command line](commands.md) and the [configurations](configuration.md) have pages of their own.",
        "",
    ]
    return "\n".join(lines)


def homes(package: object) -> Iterator[tuple[str, str]]:
    """Yield the public names of the top level with their modules."""
    found = {name: home for home, listed in package._HOMES.items() for name in listed}  # type: ignore[attr-defined]
    yield from sorted(found.items())


def summary(module: str, name: str) -> str:
    """Read the first sentence of the docstring of a name."""
    from graphscore.experiment.config.docstrings import summary as first

    return cell(first(getattr(import_module(f"graphscore.{module}"), name)))


def cell(text: str) -> str:
    """Make text fit into a cell of a table."""
    return " ".join(text.split()).replace("|", r"\|")


def configuration() -> str:
    """Make the page of all keys of configurations, with the components that they can name and their options."""
    from graphscore.experiment.config.catalogue import KINDS
    from graphscore.experiment.config.keys import Key, list_keys
    from graphscore.experiment.config.shown import list_configs

    def table(keys: list[Key], prefix: str) -> list[str]:
        head = ["| key | type | default | meaning |", "|---|---|---|---|"]
        rows = [
            f"| `{key.name.removeprefix(prefix)}` | {cell(key.type)} | {default(key)} | {cell(key.meaning)} |"
            for key in keys
        ]
        return ["", *head, *rows, ""]

    def default(key: Key) -> str:
        return "required" if key.default is None else f"`{key.default}`" if key.default else ""

    keys = list_keys()
    lines = [
        "# Configuration reference",
        "",
        "Every key of a configuration and every option of every component, made from the schema by which configurations"
        " are checked. `graphscore config keys` prints the same in a terminal, `graphscore config schema` as a JSON"
        " schema for editors. A component is a name (`sampler: heun`) or a name with options"
        " (`sampler: {name: ddim, eta: 0.5}`), or an import path of your own (`{name: my_package.sampler:MySampler}`).",
        "",
        "Configurations that come with the library, for `--config NAME` (`graphscore config show NAME` prints one):",
        "",
        "| | |",
        "|---|---|",
        *(f"| `{name}` | {cell(text)} |" for name, text in list_configs().items()),
        "",
    ]
    sections = dict.fromkeys(key.name.partition(".")[0] for key in keys)
    for section in sections:
        inside = [key for key in keys if key.name.partition(".")[0] == section]
        lines += [f"## `{section}`", *table(inside, "")]
        for place, kind in KINDS.items():
            if place.partition(".")[0] != section:
                continue
            lines += [f"### `{place}`: {kind.name}", ""]
            for name, text in kind.summaries().items():
                lines += [f"**`{name}`** {cell(text)}", ""]
                if options := list_keys(f"{place}.{name}")[1:]:
                    lines += table(options, f"{place}.")[1:]
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Make the page of all commands with their options."""
    from typer.main import get_command

    from graphscore.cli.app import app
    from graphscore.cli.examples import EXAMPLES

    lines = [
        "# Command line reference",
        "",
        "Every command with its arguments and options, as `graphscore COMMAND --help` prints them. What they are for"
        " is in [the command line](../how-to/command-line.md).",
        "",
    ]
    for name, command in _leaves("graphscore", get_command(app)):
        lines += [f"## {name}", "", cell(command.help or ""), "", "| | | default |", "|---|---|---|"]
        for option in command.params:
            if getattr(option, "hidden", False) or option.name == "help":
                continue
            shown = ", ".join(f"`{text}`" for text in option.opts + option.secondary_opts)
            shown = shown if option.param_type_name == "option" else f"`{option.name.upper()}`"
            default = option.default if isinstance(option.default, str | int | float) else ""
            default = "" if default in ("", False) or callable(option.default) else f"`{default}`"
            lines.append(f"| {shown} | {cell(getattr(option, 'help', None) or '')} | {default} |")
        examples = [f"# {what}\n{line}" if what else line for what, line in EXAMPLES[name.partition(" ")[2]]]
        lines += ["", "```sh", *examples, "```", ""]
    return "\n".join(lines)


def _leaves(prefix: str, command: object) -> Iterator[tuple[str, object]]:
    """Commands, those of groups included."""
    for name, inner in getattr(command, "commands", {}).items():
        if getattr(inner, "commands", None):
            yield from _leaves(f"{prefix} {name}", inner)
        else:
            yield f"{prefix} {name}", inner


def what_works() -> str:
    """Make the page of what works with what, from the table that a test holds to the truth."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- methods -->\n(.*?)<!-- /methods -->", readme, flags=re.DOTALL)
    return (
        "# What works with what\n\nObjectives and samplers that work with each noise process, found by trying all"
        f" combinations (`graphscore methods`).\n\n{table}"
    )
