"""Animated SVG pictures of molecules on their way from noise to a conformer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch_geometric.data import Data

from graphscore.experiment.drawings.animation import MOST, Way, draw_animation
from graphscore.experiment.drawings.shapes import shape_of
from graphscore.experiment.evaluation.files import View
from graphscore.molecules.show.records import read_trajectories
from graphscore.molecules.show.structures import color_of, radius_of
from graphscore.molecules.show.superposition import facing


def view(path: Path, out: Path, reference: Path | None = None, trajectories: Sequence[Path] = ()) -> View:
    """Draw sampling trajectories of molecules as an animated picture.

    Args:
        path: Conformers; what is drawn are the trajectories.
        out: File ``*.svg``.
        reference: Not allowed.
        trajectories: Sampling trajectories; see :func:`graphscore.molecules.show.records.read_trajectories`.

    Raises:
        ValueError: If there are no trajectories, or references.
    """
    if not trajectories or reference is not None:
        raise ValueError(f"{out} shows trajectories to {path}, without references: give them by --trajectory")
    found = [read_trajectories(file) for file in trajectories]
    steps = [[frame.data for frame in frames] for ways, _ in found for frames in ways.values()]
    notes = [str(failure) for _, failures in found for failure in failures]
    if len(steps) > MOST:
        notes.append(f"the first {MOST} of {len(steps)} trajectories are drawn")
    ways = [molecule_way(frames, frames[-1].get("name") or "") for frames in steps[:MOST]]
    draw_animation(ways, out, f"Conformers made from noise: {path.stem}")
    return View(out, f"trajectories of {len(ways)}", notes)


def molecule_way(frames: Sequence[Data], label: str = "") -> Way:
    """Make balls and sticks of a molecule after each step of sampling, turned onto each other.

    Args:
        frames: The molecule after each step, with ``z`` and ``pos``, in one order of atoms.
        label: Text below.
    """
    pos = np.stack([data["pos"].double().cpu().numpy() for data in frames])
    numbers = frames[-1]["z"].tolist()
    colors, radii = [color_of(number) for number in numbers], [radius_of(number) for number in numbers]
    return Way(facing(pos), shape_of(frames[-1]).edges, label, colors, radii)
