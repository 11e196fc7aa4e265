"""Description of a model file, the folder of a run, a checkpoint, a configuration or a data file, for a person.

Nothing that a file names is imported or built.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphscore.experiment.config.components import Component, component_names
from graphscore.experiment.config.schema import Config, ModelConfig, check_model, config_text, read_config
from graphscore.experiment.config.sections import PRECONDITIONED
from graphscore.experiment.folder import CONFIG_FILE, KEPT, LOG_FILE, MODEL_FILE, SKIPPED_FILE
from graphscore.experiment.proposal.survey import Survey, survey
from graphscore.experiment.trained_on import TrainedOn
from graphscore.experiment.training.resumption import stored_config
from graphscore.experiment.training.split_record import read_split
from graphscore.experiment.weights import find_model, named_weights
from graphscore.registry import is_import_path, shown
from graphscore.runtime.checkpoint import read_header, upgrade
from graphscore.train.resumption import RESUME_FILE, read_state
from graphscore.train.sample_score import SAMPLED

Fact = tuple[str, str]
"""A label and a text."""


def about(source: str | Path) -> list[Fact]:
    """Describe a file or folder.

    Args:
        source: Model file or name of weights that come with the library; folder of a run, or its checkpoint, ``.ckpt``;
            configuration, ``.yaml``; or data: a file, a folder or a pattern.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of these, or cannot be read.
    """
    path = Path(source)
    if path.is_dir() and any((path / name).is_file() for name in (CONFIG_FILE, MODEL_FILE, RESUME_FILE)):
        return list(_run(path))
    if path.suffix == ".ckpt" and path.is_file():
        return [("what", f"state of a run, {path}"), *_state(path)]
    if path.suffix in (".yaml", ".yml"):
        config = check_model(upgrade(read_config(config_text(path), path)), str(path))
        return [("what", f"configuration, {path}; all of it: graphscore config show {path}"), *_config(config)]
    if path.suffix == ".safetensors" or (str(source) in named_weights() and not path.exists()):
        return list(_model(find_model(source)))
    return about_data(survey(path))


def about_data(found: Survey) -> list[Fact]:
    """Describe data."""
    files = f"{found.num_files:,} file{'s' if found.num_files > 1 else ''}"
    facts = [("what", f"{found.described()} ({files}; {found.domain.name})")]
    facts += [("attribute", f"{name}: {column}") for name, column in found.columns.items()]
    if found.num_edges:
        facts.append(("edges", f"{found.num_edges:,.1f} for each graph, on average"))
    if found.partial:
        facts.append(("in some graphs", ", ".join(found.partial)))
    if found.failures:
        facts.append(("not usable", f"{len(found.failures):,} records; the first: {found.failures[0]}"))
    return facts


def _model(path: Path) -> Iterator[Fact]:
    header = read_header(path)
    size = sum(math.prod(shape) for shape in header.shapes.values())
    yield "what", f"model file, {path}, format version {header.format_version}"
    yield "parameters", f"{size:,} in {len(header.shapes):,} tensors"
    if header.in_8_bits:
        rounded = sum(math.prod(header.shapes[name]) for name in header.in_8_bits)
        yield "storage", f"{rounded:,} of them rounded to 8 bits, with a scale for each row"
    try:
        config = check_model(header.config, str(path))
    except ValueError as error:
        yield "configuration", f"not one of this version of graphscore: {error}"
    else:
        yield from _config(config)
    yield from _training(header.info, path)


def _config(config: ModelConfig) -> Iterator[Fact]:
    """Describe a configuration."""
    for field in config.fields:
        scale = field.scale if isinstance(field.scale, str) else f"{field.scale:.4g}"
        unit = "angles" if field.periodic else f"scale {scale}"
        level = field.level.removesuffix("_index")
        yield "field", f"{field.name}: {field.width} columns of each {level}, {unit}, {_named(field.sde)}"
    network = config.network
    yield "network", _named(network.backbone)
    if network.denoiser != PRECONDITIONED:
        yield "denoiser", _named(network.denoiser)
    for name, size in network.inputs.items():
        yield "input", f"{name}: {f'{size} categories' if isinstance(size, int) else f'{size.width} columns'}"
    if network.neighbors is not None:
        yield "neighbors", _named(network.neighbors)
    for component in config.transforms:
        yield "transform", _named(component)
    for condition in config.conditions:
        yield "condition", f"{condition.name}, {condition.null_value:g} for none"
    if isinstance(config, Config):
        yield "data", _named(config.data.dataset)
        training = config.training
        yield (
            "training",
            f"{training.max_steps:,} steps of {training.batch_size:,} graphs, {_named(training.objective)}",
        )
    sampling = config.sampling
    guided = "".join(f", {_named(one)}" for one in sampling.guidance)
    yield "sampling", f"{_named(sampling.sampler)}, {sampling.num_steps} steps on {_named(sampling.grid)}{guided}"
    for key, name in component_names(config):
        if is_import_path(name):
            yield "your own code", f"{key}: {name}, imported only with --trust {name.partition(':')[0]}"


def _training(info: dict[str, Any], path: Path) -> Iterator[Fact]:
    """Describe what a model file says about its training, which anybody may have written."""
    for key, label in (("steps", "trained steps"), ("num_training_graphs", "training graphs")):
        if key in info:
            yield label, f"{info[key]:,}" if isinstance(info[key], int) else shown(info[key])
    known = info.get("known", {})
    for name, values in known.items() if isinstance(known, dict) else ():
        yield "known values", f"{name}: {_values(values)}"
    try:
        seen = TrainedOn.read(info, path)
    except ValueError as error:
        yield "trained on", str(error)
        return
    if seen is None:
        yield "trained on", "not recorded: it takes whatever its network does"
        return
    low, high = seen.num_nodes
    space = "" if seen.dimensions is None else f" in {seen.dimensions} dimensions"
    sizes = f"{low}" if low == high else f"{low} to {high}"
    yield "trained on", f"{' and '.join(seen.domains)} of {sizes} nodes{space}; others are refused"
    yield "", f"with {', '.join(seen.attributes)}"


def _run(folder: Path) -> Iterator[Fact]:
    model, state, stored = folder / MODEL_FILE, folder / RESUME_FILE, folder / CONFIG_FILE
    yield "what", f"folder of a run, {folder}"
    wanted = None
    if stored.is_file():
        try:
            config = stored_config(folder)
        except ValueError as error:
            yield "configuration", str(error)
        else:
            wanted = config.training.max_steps
            if not model.is_file():
                yield from _config(config)
    if state.is_file() or not wanted:
        yield from _state(state, wanted)
    else:
        yield "resume", f"possible, from the start: graphscore train --resume {folder}"
    yield from _losses(folder / LOG_FILE)
    yield from _split(folder)
    if (folder / SKIPPED_FILE).is_file():
        yield "skipped", f"records of the data that could not be used are in {folder / SKIPPED_FILE}"
    others = sorted(file for place in (folder, folder / KEPT) for file in place.glob("*.safetensors") if file != model)
    if others:
        yield "other models", ", ".join(str(file.relative_to(folder)) for file in others)
    if model.is_file():
        yield from _model(model)
    else:
        yield "model", "none yet"


def _state(path: Path, wanted: int | None = None) -> Iterator[Fact]:
    """Describe the state of a run, and whether it can be resumed."""
    if not path.is_file():
        yield "resume", f"not possible: there is no {path.name}"
        return
    try:
        step, _ = read_state(path)
    except ValueError as error:
        yield "resume", f"not possible: {error}"
        return
    yield "steps done", f"{step:,}" + ("" if wanted is None else f" of {wanted:,}")
    if wanted is not None and step >= wanted:
        yield "resume", "the run is complete; with a larger training.max_steps it goes on"
    else:
        yield "resume", f"possible, from step {step:,}: graphscore train --resume {path.parent}"


def _split(folder: Path) -> Iterator[Fact]:
    """Describe the parts of the data of a run."""
    try:
        record = read_split(folder)
    except ValueError as error:
        yield "split", str(error)
        return
    if record is not None:
        parts = ", ".join(f"{part.graphs:,} graphs in {name}" for name, part in record.parts.items())
        yield "split", f"{parts} ({record.rule})"


def _losses(log: Path) -> Iterator[Fact]:
    """Describe the last losses in the log of a run."""
    if not log.is_file():
        return
    last: dict[str, tuple[str, str]] = {}
    with log.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            for name in ("loss", "val_loss", *(name for name in row if name and name.startswith(SAMPLED))):
                if row.get(name):
                    last[name] = (row[name], row.get("step") or "?")
    for name, (value, step) in last.items():
        yield f"last {name}", f"{value} at step {step}"


def _named(component: Component) -> str:
    """A component with its options in one line, shortened, since a file may hold options of any size."""
    options = ", ".join(f"{name}={shown(value)}" for name, value in component.options.items())
    return component.name + (f" ({options})" if options else "")


def _values(values: Any) -> str:
    """Integers in short, such as ``1, 6 to 9``."""
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        return shown(values)
    ranges: list[list[int]] = []
    for value in sorted(set(values)):
        if ranges and value == ranges[-1][1] + 1:
            ranges[-1][1] = value
        else:
            ranges.append([value, value])
    return ", ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in ranges)
