"""Animated pages of sampling: graphs on their way from noise to samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore.domains import domain_of
from graphscore.experiment.drawings.page import draw_page
from graphscore.experiment.drawings.shapes import Block
from graphscore.experiment.drawings.view import Style, find_ways
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.sampling.trajectories import POS, Trajectories, position_noise
from graphscore.registry import resolve

NUM_SHOWN = 12


def draw_denoising(pipeline: Pipeline, items: Sequence[Data], path: Path, **options: Any) -> Path | None:
    """Sample a few graphs by a model, and draw the way from noise to each sample on an animated page.

    Args:
        pipeline: The model.
        items: Graphs to sample, of which the first twelve are; one sample each.
        path: File ``*.html``.
        **options: Options of the request, such as ``seed``.

    Returns:
        The path; None where the model places no nodes in the plane or in space, its domain draws trajectories in
        another way, or no sample is finite.
    """
    items = items[:NUM_SHOWN]
    domain = domain_of(items[0])
    if POS not in pipeline.model.fields or resolve(domain.trajectories) is not Trajectories:
        return None
    style: Style = resolve(domain.drawing)
    recorder = Trajectories(position_noise(pipeline.model), lambda data: data)
    outcomes = [*pipeline.sample(items, nums=[1] * len(items), trace=recorder, **options)]
    samples = [outcome.samples[0] for outcome in outcomes if outcome.samples]
    steps = [step for number, item in enumerate(items) for step in recorder.records(number, item)]
    samples = [data for data in samples if style.fits(data)]
    if not samples:
        return None
    block = Block("", samples, style.labels(samples))
    ways: Mapping[Any, Any] = {(0, k): frames for k, frames in find_ways(samples, steps).items()}
    return draw_page([block], path, "From noise to samples", trajectories=ways, **style.look)
