"""Model files with weights in fewer bits."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from graphscore.experiment.weights import find_model
from graphscore.runtime.checkpoint import load_checkpoint, save_checkpoint
from graphscore.runtime.storage import Storage


class Quantized(NamedTuple):
    """A file with weights in fewer bits, and what it was made of.

    Attributes:
        path: The file.
        bytes_before: Size of the file with the weights as they were.
        bytes_after: Size of the new file.
        error: Largest rounding error of a tensor: the root mean square of what was rounded off, relative to that of
            the tensor.
        worst: Name of the tensor with this error; empty if nothing was rounded off.
    """

    path: Path
    bytes_before: int
    bytes_after: int
    error: float
    worst: str


def quantize(source: str | Path, out: str | Path, storage: Storage = "int8") -> Quantized:
    """Write a model file again with its weights in fewer bits: a half of the size of float32, or about a quarter.

    Configuration and facts about the training stay as they are. Such a file is loaded like any other, and computes in
    float32; sampling takes as long as before.

    Args:
        source: A ``model.safetensors``, the folder of a run, or the name of weights that come with the library.
        out: File to write, ``*.safetensors``.
        storage: ``"int8"``: matrices in 8 bits with a scale for each row, and all else in half precision; or
            ``"float16"``: all in half precision.

    Returns:
        Sizes and rounding errors.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If ``out`` exists, the model cannot be read, its numbers cannot be stored so, or there is no such
            storage.
    """
    path, out = find_model(source), Path(out)
    if out.exists():
        raise ValueError(f"{out} exists, and may be the only file of a model: choose another name, or remove it")
    checkpoint = load_checkpoint(path)
    save_checkpoint(out, checkpoint, storage)
    rounded, errors = load_checkpoint(out).state, {"": 0.0}
    for name, tensor in checkpoint.state.items():
        if tensor.is_floating_point() and (size := float(tensor.double().norm())):
            errors[name] = float((rounded[name].double() - tensor.double()).norm()) / size
    worst = max(errors, key=lambda name: errors[name])
    return Quantized(out, path.stat().st_size, out.stat().st_size, errors[worst], worst)
