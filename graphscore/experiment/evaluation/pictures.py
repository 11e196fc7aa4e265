"""Figures and pages, written to files whole or not at all."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

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


def fill_page(
    package: str,
    content: Mapping[str, Any],
    title: str,
    *,
    page: str = "page.html",
    styles: Sequence[str] = ("page.css",),
    scripts: Sequence[str] = ("page.js",),
    **texts: str,
) -> str:
    """Fill an HTML page that needs nothing but itself: with styles, scripts, and the data that these show.

    Args:
        package: Package whose folder ``page/`` holds the files.
        content: Data, written as JSON.
        title: Title, as text.
        page: The page, in which ``$title``, ``$style``, ``$data`` and ``$script`` are filled in.
        styles: Its style sheets.
        scripts: Its scripts, in their order.
        **texts: HTML for other names in the page.

    Returns:
        The whole page.

    Raises:
        ValueError: If a number is not finite.
    """
    folder = resources.files(package).joinpath("page")
    style, script = (
        "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names) for names in (styles, scripts)
    )
    # No "<" in the data: it could end the script element that holds them.
    data = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    filled = Template(folder.joinpath(page).read_text(encoding="utf-8"))
    return filled.substitute(title=html.escape(title), style=style, data=data, script=script, **texts)


def save_page(text: str, path: str | Path, suffix: str = ".html") -> Path:
    """Write an HTML page or an SVG picture.

    Args:
        text: The whole page.
        path: File with the extension; its folder is created if necessary.
        suffix: The extension.

    Returns:
        The path.

    Raises:
        ValueError: If the path is a folder or has another extension.
    """
    with replacing(check_suffix(path, suffix)) as temporary:
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
