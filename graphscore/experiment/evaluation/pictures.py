"""Figures and pages, written to files whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphscore.runtime.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#333840"  # color of all text


def new_figure(width: float, height: float) -> Figure:
    """Make a white Matplotlib figure without a window and without global state.

    Args:
        width: Width in inches.
        height: Height in inches.

    Raises:
        ImportError: If Matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('Pictures need Matplotlib: pip install "graphscore[viz]"') from error
    return Figure(figsize=(width, height), facecolor="white")


def save_figure(figure: Figure, path: str | Path, dpi: int = 200) -> Path:
    """Write a figure as a PNG image.

    Args:
        figure: The figure.
        path: File ``*.png``; its folder is created if necessary.
        dpi: Pixels per inch.

    Returns:
        The path.

    Raises:
        ValueError: If the path is a folder or has another extension.
    """
    with replacing(check_suffix(path, ".png")) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi)
    return Path(path)


def save_page(text: str, path: str | Path) -> Path:
    """Write an HTML page.

    Args:
        text: The whole page.
        path: File ``*.html``; its folder is created if necessary.

    Returns:
        The path.

    Raises:
        ValueError: If the path is a folder or has another extension.
    """
    with replacing(check_suffix(path, ".html")) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def check_suffix(path: str | Path, suffix: str) -> Path:
    """Check that the path of a picture or page is valid, before the work whose results it will show.

    Raises:
        ValueError: If the path is a folder or has another extension.
    """
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise ValueError(f"Expected a {suffix} file, but got {path}")
    if path.is_dir():
        raise ValueError(f"Expected a file to write, but {path} is a folder")
    return path
