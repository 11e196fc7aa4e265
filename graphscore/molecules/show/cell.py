"""Outputs of notebook cells: the first conformers of a molecule, which can be turned, also offline."""

from __future__ import annotations

import html

from graphscore.experiment.drawings import cell as plain
from graphscore.experiment.drawings.cell import MOST, captions, in_frame
from graphscore.experiment.evaluation.pictures import fill_page
from graphscore.generate.outcome import Outcome
from graphscore.molecules.show.animation import molecule_way
from graphscore.molecules.show.viewer import Entry, content_of

_SCRIPTS = ("geometry.js", "painter.js", "stage.js", "tiles.js")


def cell(outcome: Outcome) -> str | None:
    """Show the first conformers of a molecule as balls and sticks, superposed on the first.

    Args:
        outcome: Conformers of one molecule.

    Returns:
        HTML, of nodes and edges alone if RDKit takes the graphs for no molecule; ``None`` if none has coordinates.
    """
    samples = outcome.samples[:MOST]
    shown = [data for data in samples if "pos" in data and bool(data["pos"].isfinite().all())]
    if not shown:
        return None
    try:
        content = content_of([Entry("", shown)])
    except ValueError:
        return plain.cell(outcome)
    tiles = "".join(
        f'<figure><canvas tabindex="0" role="img" aria-label="conformer {html.escape(caption)}"></canvas>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption in captions(shown)
    )
    page = fill_page(
        "graphscore.molecules.show",
        content,
        "",
        page="tiles.html",
        styles=("tiles.css",),
        scripts=_SCRIPTS,
        tiles=tiles,
    )
    ways = [molecule_way([data], text) for data, text in zip(shown, captions(shown), strict=True)]
    return in_frame(outcome, page, ways, len(shown), height=270)
