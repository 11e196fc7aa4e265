"""Model files: tensors, a plain configuration and a format version, in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graphscore.atomic import replacing

if TYPE_CHECKING:  # a wrong path is answered before PyTorch is loaded
    from torch import Tensor

FORMAT_VERSION = 1
_KEY = "graphscore"


class Checkpoint(NamedTuple):
    """Content of a model file.

    Attributes:
        state: Tensors by name.
        config: Plain configuration (numbers, strings, lists, dicts) from which the model is built.
        info: What is known of the training: steps, losses, the categories seen.
    """

    state: dict[str, Tensor]
    config: dict[str, Any]
    info: dict[str, Any]


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a model file, whole or not at all.

    Args:
        path: Where to, by convention ``*.safetensors``.
        checkpoint: What to write.

    Raises:
        TypeError: If the configuration or info is not made of plain JSON values.
    """
    from safetensors.torch import save

    header = {"format_version": FORMAT_VERSION, "config": checkpoint.config, "info": checkpoint.info}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.state.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(state, metadata={_KEY: json.dumps(header, allow_nan=False)}))


def find_checkpoint(path: str | Path) -> Path:
    """Find a model file; it is not opened.

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
        Its content, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a model file of this library, or one of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    path = find_checkpoint(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error})") from error
    if _KEY not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not a checkpoint of graphscore")
    header = json.loads(metadata[_KEY])
    if header["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {header['format_version']}; this graphscore reads up to {FORMAT_VERSION}"
        )
    return Checkpoint(state, header["config"], header["info"])
