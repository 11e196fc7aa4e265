"""Reading and writing of model files: tensors, configuration and format version in one safetensors file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graphscore.runtime.atomic import replacing
from graphscore.runtime.storage import Storage, find_in_8_bits, in_few_bits, restore
from graphscore.runtime.tensor_files import import_safetensors

if TYPE_CHECKING:  # a wrong path is reported before PyTorch is loaded
    from torch import Tensor

FORMAT_VERSION = 3
# Of files without tensors in 8 bits, which earlier versions of the library read as well.
_WITHOUT_8_BITS = 2
_KEY = "graphscore"
# JSON readers agree on integers up to 2**53; configurations are nested far less deeply than 32.
_LARGEST, _DEEPEST = 2**53, 32


class Checkpoint(NamedTuple):
    """Content of a model file: tensors, configuration and facts about the training.

    Attributes:
        state: Tensors by name.
        config: Plain configuration (numbers, strings, lists, dicts) from which the model is built.
        info: Facts about the training: steps, losses, the categories seen.
    """

    state: dict[str, Tensor]
    config: dict[str, Any]
    info: dict[str, Any]


class Header(NamedTuple):
    """Content of a model file without its tensors.

    Attributes:
        shapes: Shapes of the tensors by name.
        config: As in :class:`Checkpoint`.
        info: As in :class:`Checkpoint`.
        format_version: Version of the format in which it was written.
        in_8_bits: Names of the tensors that are stored in 8 bits.
    """

    shapes: dict[str, tuple[int, ...]]
    config: dict[str, Any]
    info: dict[str, Any]
    format_version: int
    in_8_bits: frozenset[str] = frozenset()


def save_checkpoint(path: str | Path, checkpoint: Checkpoint, storage: Storage | None = None) -> None:
    """Write a model file, whole or not at all.

    Args:
        path: File to write, by convention ``*.safetensors``.
        checkpoint: Content of the file.
        storage: Fewer bits for the weights, see :func:`~graphscore.runtime.storage.in_few_bits`; by default each tensor
            is stored as it is.

    Raises:
        TypeError: If the configuration or info is not made of plain JSON values.
        ValueError: As for :func:`check_plain`, or because tensors cannot be stored in fewer bits.
    """
    save = import_safetensors().torch.save
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.state.items()}
    num, state = len(state), state if storage is None else in_few_bits(state, storage)
    version = FORMAT_VERSION if len(state) > num else _WITHOUT_8_BITS
    header = {"format_version": version, "config": checkpoint.config, "info": checkpoint.info}
    check_plain(header, f"What {path} is to hold")
    with replacing(path) as temporary:
        temporary.write_bytes(save(state, metadata={_KEY: json.dumps(header)}))


def find_checkpoint(path: str | Path) -> Path:
    """Find a model file without opening it.

    Args:
        path: The file, or a folder that holds ``model.safetensors``.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(
            f"No checkpoint at {path}; expected a model.safetensors file or a folder that holds one"
        )
    return path


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a model file; nothing in it is executed.

    Args:
        path: A file written by :func:`save_checkpoint`, or a folder that holds ``model.safetensors``.

    Returns:
        Its content, on the CPU; tensors that are stored in 8 bits in float32.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a model file of this library, or one of a newer format.
    """
    path = find_checkpoint(path)
    with _opened(path, "pt") as file:
        metadata, kinds = file.metadata() or {}, _kinds(file)
        state = {name: file.get_tensor(name) for name in kinds}
    header = _header(metadata, path)
    restore(state, _in_8_bits(kinds, header, path), path)
    return Checkpoint(state, upgrade(header["config"]), header["info"])


def read_header(path: str | Path) -> Header:
    """Read what a model file says beside its tensors; needs no PyTorch.

    The arguments and errors are those of :func:`load_checkpoint`.
    """
    path = find_checkpoint(path)
    with _opened(path, "numpy") as file:
        metadata, kinds = file.metadata() or {}, _kinds(file)
    header = _header(metadata, path)
    in_8_bits = _in_8_bits(kinds, header, path)
    shapes = {name: shape for name, (_, shape) in kinds.items() if name not in in_8_bits.values()}
    return Header(shapes, upgrade(header["config"]), header["info"], header["format_version"], frozenset(in_8_bits))


def _kinds(file: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Read the type and shape of each tensor."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    return {name: (str(one.get_dtype()), tuple(one.get_shape())) for name, one in slices.items()}


def _in_8_bits(
    kinds: Mapping[str, tuple[str, tuple[int, ...]]], header: Mapping[str, Any], path: Path
) -> dict[str, str]:
    """Names of the scales of rows by those of the tensors in 8 bits; before version 3, such tensors are integers."""
    return find_in_8_bits(kinds, path) if header["format_version"] > _WITHOUT_8_BITS else {}


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[Any]:
    """Open a safetensors file, with one kind of error if it is none."""
    safetensors = import_safetensors(framework)
    try:
        with safetensors.safe_open(path, framework=framework) as file:
            yield file
    except OSError:
        raise
    except Exception as error:  # number types that PyTorch lacks raise various errors
        kind = "" if isinstance(error, safetensors.SafetensorError) else f"{type(error).__name__}: "
        raise ValueError(f"{path} is not a safetensors file that can be read ({kind}{error})") from error


def _header(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Read and check the text in a model file."""
    if _KEY not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not a checkpoint of graphscore")
    try:
        header = json.loads(metadata[_KEY], object_pairs_hook=_unique, parse_constant=float)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The configuration in {path} cannot be read as JSON: {error}") from error
    version = header.get("format_version") if isinstance(header, dict) else None
    if type(version) is not int or version < 1:
        raise ValueError(f"The configuration in {path} has no format version")
    if version > FORMAT_VERSION:
        raise ValueError(f"{path} has format version {version}; this graphscore reads up to {FORMAT_VERSION}")
    for name in ("config", "info"):
        if not isinstance(header.get(name), dict):
            raise ValueError(f"{path} must hold {name!r} as a mapping, but it is {type(header.get(name)).__name__}")
    check_plain(header, f"The configuration in {path}")
    return header


def upgrade(config: Any) -> Any:
    """Convert a configuration of format version 1, with other places of transforms and conditions, and other names.

    Args:
        config: Plain values; anything but a mapping is returned unchanged.
    """
    if not isinstance(config, dict):
        return config
    config = dict(config)
    for section, key in (("data", "transforms"), ("training", "conditions")):
        if isinstance(config.get(section), dict) and key in config[section] and key not in config:
            config[section] = dict(config[section])
            config[key] = config[section].pop(key)
    sampling = config.get("sampling")
    if isinstance(sampling, dict) and isinstance(sampling.get("guidance"), list):
        config["sampling"] = sampling | {"guidance": [_with_strength(guidance) for guidance in sampling["guidance"]]}
    return config


def _with_strength(guidance: Any) -> Any:
    """Rename the option ``scale`` of guidance of this library, not of custom guidance."""
    if not isinstance(guidance, dict) or "scale" not in guidance or ":" in str(guidance.get("name")):
        return guidance
    return {"strength" if key == "scale" else key: value for key, value in guidance.items()}


def check_plain(values: Any, what: str) -> None:
    """Check that values can be stored as JSON and read back by any program.

    Args:
        values: Mappings and lists of numbers and strings.
        what: Name of the values in the error message.

    Raises:
        ValueError: If a number is NaN or an integer beyond 2**53, a text is no Unicode, or they are nested too deep.
    """
    if problem := _problem(values):
        raise ValueError(f"{what} cannot be used: {problem}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a mapping and reject duplicate keys, of which programs keep either the first or the last."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is there twice")
    return values


def _problem(values: Any) -> str | None:
    waiting: list[tuple[Any, int]] = [(values, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            return f"values are nested more than {_DEEPEST} deep"
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for pair in value.items() for item in pair]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]
        elif isinstance(value, int) and abs(value) > _LARGEST:
            return "an integer is out of range"
        elif isinstance(value, float) and math.isnan(value):
            return "a number is NaN"
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                return "a text is no Unicode"
    return None
