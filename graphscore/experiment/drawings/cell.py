"""Outputs of notebook cells: the first samples of an outcome, drawn in a frame that works offline."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

import numpy as np
from torch_geometric.data import Data

from graphscore.domains import domain_of
from graphscore.experiment.drawings.animation import Way, picture_of
from graphscore.experiment.drawings.page import Frame, page_of
from graphscore.experiment.drawings.shapes import Block
from graphscore.experiment.drawings.view import Style, way_of
from graphscore.generate.outcome import Outcome
from graphscore.registry import resolve

MOST = 4
"""Number of samples that are drawn: they are stored in the notebook."""
_MOST_ROWS = 20_000  # nodes and edges of all of them


def cell(outcome: Outcome) -> str | None:
    """Show the first samples of an outcome, if they have positions that can be drawn.

    Args:
        outcome: Graphs that were sampled.

    Returns:
        HTML; ``None`` if there is nothing to draw, or a graph is too large to be stored in a notebook.
    """
    style: Style = resolve(domain_of(outcome.samples[0]).drawing)
    shown = [sample for sample in outcome.samples[:MOST] if style.fits(sample)]
    if not shown or sum((sample.num_nodes or 0) + sample.num_edges for sample in shown) > _MOST_ROWS:
        return None
    texts = captions(shown)
    page = page_of([Block("", shown, texts)], is_embedded=True, **style.look)
    ways = [way_of([Frame(0, None, data)], text, style.edges) for data, text in zip(shown, texts, strict=True)]
    return in_frame(outcome, page, ways, len(shown), height=270)


def captions(samples: Sequence[Data]) -> list[str]:
    """Write what the attributes of samples say about them: number, energy, weight, and a warning."""
    return [_caption(number, sample) for number, sample in enumerate(samples, start=1)]


def _caption(number: int, sample: Data) -> str:
    parts = [str(sample.get("sample", number))]
    if (energy := sample.get("relative_energy")) is not None:
        parts.append(f"+{energy:.2f} kcal/mol")
    if (weight := sample.get("weight")) is not None:
        parts.append(f"weight {weight:.2f}")
    if warning := sample.get("warning"):
        parts.append(f"\u26a0 {warning}")
    return ", ".join(parts)


def in_frame(outcome: Outcome, page: str, ways: Sequence[Way], num: int, height: int) -> str:
    """Put a page below the text of an outcome, into a frame whose scripts cannot reach the notebook.

    The frame covers a picture of the samples. Who shows notebooks without frames and styles, as GitHub does, shows the
    picture.

    Args:
        outcome: The outcome, whose ``repr`` and notes are shown as text.
        page: A whole HTML page.
        ways: The same samples, each of one frame, for the picture; those that are not finite are left out.
        num: Number of samples on it.
        height: Height of the frame in pixels.
    """
    left = len(outcome.samples) - num
    lines = [repr(outcome), *outcome.notes, *([f"{num} of {len(outcome.samples)} are drawn"] if left else [])]
    text = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
    title = html.escape(f"samples of {outcome.name}")
    finite = [way for way in ways if np.isfinite(way.frames).all()]
    picture = ""
    if finite:
        code = base64.b64encode(picture_of(finite, title).encode()).decode()
        picture = f'<img alt="{title}" src="data:image/svg+xml;base64,{code}" style="height: 100%">'
    return (
        f'{text}<div style="position: relative; height: {height}px; overflow: hidden">{picture}'
        f'<iframe title="{title}" sandbox="allow-scripts" srcdoc="{html.escape(page)}" '
        'style="position: absolute; top: 0; left: 0; width: 100%; height: 100%; border: 0"></iframe></div>'
    )
