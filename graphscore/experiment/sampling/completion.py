"""Completion of partial graphs: finite rows of a sampled field are kept, and rows of NaN are sampled given them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.normalization import ORIGIN, UNIT, Normalize, frame_of, put_back
from graphscore.denoiser import ScoreModel
from graphscore.experiment.config.components import Component
from graphscore.experiment.config.schema import AnyConfig
from graphscore.fields import Field, num_rows
from graphscore.generate.tries import Finish, with_values
from graphscore.guidance import HarmonicRestraint, Inpainting
from graphscore.registry import unknown

RESAMPLING, MOMENTS = "resampling", "moments"
METHODS = (RESAMPLING, MOMENTS)
"""Methods of completion: unknown rows adapt to the given ones by repeated steps, or by moments of the posterior."""
NUM_RESAMPLES = 4
MASK, VALUES, RAW = "given_rows_of_{}", "given_values_of_{}", "given_raw_values_of_{}"


def check_method(method: str | None) -> None:
    """Check the name of a method.

    Raises:
        ValueError: If there is no such method.
    """
    if method is not None and method not in METHODS:
        raise unknown(method, METHODS, "method of complete")


def mark_given(item: Data, fields: Mapping[str, Field]) -> Data:
    """Add the given rows of each field, and the mask that marks them, under names of their own.

    Args:
        item: A graph with one field at least; not changed. Rows that are to be sampled are NaN.
        fields: Fields of the model by name. Of those that the graph lacks, nothing is given.

    Returns:
        A shallow copy with attributes :data:`MASK` and :data:`VALUES`.

    Raises:
        ValueError: If the graph has no field, or values of one are infinite, given in part of a row, or no rows of it.
    """
    if not any(name in item for name in fields):
        raise ValueError(f"there is nothing to complete: the graph has none of the sampled fields {sorted(fields)}")
    marked = copy.copy(item)
    marked.num_nodes = item.num_nodes
    for name, field in fields.items():
        if name not in item:
            continue
        values, rows = item[name], num_rows(item, field.level)
        if not isinstance(values, Tensor) or not values.is_floating_point() or values.shape[:1] != (rows,):
            got = f"{values.dtype} {list(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            level = field.level.removesuffix("_index")
            raise ValueError(f"{name} must hold a row of numbers for each {level}, {rows} in all, but is {got}")
        unknown = values.isnan().reshape(rows, -1)
        partly = unknown.any(1) & ~unknown.all(1)
        wrong = (partly | values.isinf().reshape(rows, -1).any(1)).nonzero()
        if len(wrong):
            row = int(wrong[0])
            raise ValueError(
                f"row {row} of {name} must be finite to be kept, or NaN to be sampled, but is {values[row].tolist()}"
            )
        marked[MASK.format(name)], marked[VALUES.format(name)] = ~unknown.all(1), values
    return marked


def see_given(graph: Data, fields: Mapping[str, Field], normalizing: Sequence[Normalize] = ()) -> Data:
    """Fit the given rows of :func:`mark_given` to the network's graph of an input, which is changed.

    Args:
        graph: The network's graph.
        fields: Fields of the model by name.
        normalizing: Steps of the transform that normalize fields: given rows are, as the others of their graph.

    Raises:
        ValueError: If the network's graph lacks rows that are given.
    """
    for name, field in fields.items():
        mask, values, rows = MASK.format(name), VALUES.format(name), num_rows(graph, field.level)
        if mask not in graph:
            graph[mask] = torch.zeros(rows, dtype=torch.bool)
            graph[values] = torch.zeros(rows, field.width or 0)
        elif "kept" in graph and field.level == "node":
            given, kept = graph[mask], graph["kept"]
            if int(given.sum()) > int(given[kept].sum()):
                raise ValueError(f"rows of {name} are given for nodes that the model does not sample itself")
            graph[mask], graph[values] = given[kept], graph[values][kept]
        elif len(graph[mask]) != rows:
            raise ValueError(
                f"the model samples {rows} rows of {name}, but {len(graph[mask])} are there to be completed"
            )
    for step in normalizing:
        _normalize_given(graph, step)
    return graph


def _normalize_given(graph: Data, step: Normalize) -> None:
    """Normalize the given values of a field by the frame of its given rows, which the graph gets, too."""
    mask, values = MASK.format(step.field), VALUES.format(step.field)
    if mask in graph:
        raw = graph[values]
        frame = frame_of(torch.where(graph[mask][:, None], raw, torch.nan), step.method)
        graph[RAW.format(step.field)], graph[values] = raw, frame.inside(raw)
        graph[ORIGIN.format(step.field)], graph[UNIT.format(step.field)] = frame.origin[None], frame.unit[None]


def guide_by_given(model: ScoreModel, method: str) -> ScoreModel:
    """Wrap a model in the guidance by the given rows of all its fields."""
    for name in model.fields:
        mask, values = MASK.format(name), VALUES.format(name)
        if method == MOMENTS:
            model = HarmonicRestraint(model, name, mask, values, math.inf)
        model = Inpainting(model, name, mask, values)
    return model


def configure(config: AnyConfig, method: str | None, given: tuple[Any, ...]) -> AnyConfig:
    """Take the sampling options of a configuration and of a request.

    Those that the configuration has for completion count where something is to be completed, and the sampler repeats
    its steps where the method needs it, unless it does so already.

    Args:
        config: Configuration of the model.
        method: Method of completion, if any.
        given: Options of the request: arguments of ``with_sampling``.
    """
    if method is not None:
        config = config.model_copy(update={"sampling": config.sampling.completing()})
    config = config.with_sampling(*given)
    sampler = config.sampling.sampler
    if method != RESAMPLING or sampler.name == RESAMPLING:
        return config
    repeated = Component.model_validate(
        {"name": RESAMPLING, "method": sampler.name, "num_resamples": NUM_RESAMPLES, "options": sampler.options}
    )
    sampling = config.sampling.model_copy(update={"sampler": repeated, "max_drift": None})
    return config.model_copy(update={"sampling": sampling})


class KeepGiven:
    """Finish samples, in the place and size of the given rows, which are written over the sampled ones, bit by bit.

    Args:
        finish: The way to make a sample otherwise; by default by :func:`~graphscore.generate.tries.with_values`.
        fields: Names of the fields.
    """

    def __init__(self, finish: Finish | None, fields: tuple[str, ...]) -> None:
        self.finish = finish or with_values
        self.fields = fields

    def __call__(self, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
        """Make a sample, see :func:`graphscore.generate.jobs.generate`."""
        sample = copy.copy(self.finish(template, graph, put_back(graph, values)))
        for name in self.fields:
            mask, given = graph[MASK.format(name)], graph[VALUES.format(name)]
            given = graph.get(RAW.format(name), given)
            if bool(mask.any()):
                sampled = sample[name].to(given.dtype).clone()
                rows = graph["kept"][mask] if len(sampled) != len(mask) else mask
                sampled[rows] = given[mask]
                sample[name] = sampled
            for added in (MASK.format(name), VALUES.format(name), RAW.format(name)):
                if added in sample:
                    del sample[added]
        return sample
