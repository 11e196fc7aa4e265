"""The library safetensors, imported when a file of tensors is read or written."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def import_safetensors(framework: str = "pt", what: str = "Model files") -> Any:
    """Import safetensors.

    Args:
        framework: ``"pt"`` for tensors of PyTorch, which is loaded, or ``"numpy"`` for arrays.
        what: What is read or written, for the error message.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import safetensors

        import_module("safetensors.torch" if framework == "pt" else "safetensors.numpy")
    except ImportError as error:
        raise ImportError(f'{what} need safetensors: pip install "graphscore[train]"', name="safetensors") from error
    return safetensors
