"""Search for model files by path, or by the name of weights that come with the library; needs no PyTorch."""

from __future__ import annotations

from pathlib import Path

from graphscore.data.missing import like
from graphscore.domains import packaged
from graphscore.runtime.checkpoint import find_checkpoint


def named_weights() -> list[str]:
    """List the names of the weights that come with the library."""
    return list(packaged("weights", ".safetensors"))


def find_model(source: str | Path) -> Path:
    """Find a model file by path or name, without opening it.

    Args:
        source: Name of weights that come with the library, path of a model file, or a folder with a
            ``model.safetensors``.

    Raises:
        FileNotFoundError: If there is no such file; the message lists the names of the weights.
        ValueError: If the source is both the name of weights in the library and the path of a model.
    """
    shipped = packaged("weights", ".safetensors")
    try:
        path = find_checkpoint(source)
    except FileNotFoundError as error:
        if str(source) in shipped:
            return Path(str(shipped[str(source)]))
        names = ", or one of the names of weights that come with the library"
        raise FileNotFoundError(f"{error}{names}, {list(shipped)}{like(source, shipped)}") from None
    if str(source) in shipped:
        raise ValueError(f"{source!s} are weights that come with the library, and a model here: give its full path, "
                         f"{path.resolve()}, or that of the others, {shipped[str(source)]}")  # fmt: skip
    return path
