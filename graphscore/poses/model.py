"""Pose models: sampling and completion of poses, with the root at the origin and bones of the right lengths."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace

from torch import Tensor
from torch_geometric.data import Data

from graphscore.experiment.sampling.completion import MASK
from graphscore.experiment.sampling.pipeline import POS, Pipeline
from graphscore.experiment.sampling.request import Request
from graphscore.generate.outcome import Outcome
from graphscore.generate.tries import Finish, with_values
from graphscore.poses.skeleton import bone_lengths, lengths_of, with_bone_lengths


class PoseModel(Pipeline):
    """Pose model: samples or completes poses of a given skeleton.

    The root of a sampled pose lies at the origin; a completed one lies where its given joints are. With ``repair``, the
    default, bones get the lengths of the skeleton, see :func:`~graphscore.poses.skeleton.with_bone_lengths`; the
    attribute ``bone_length_error`` of a sample says how far they were off before, as the mean of the relative errors.

    Example:
        >>> from graphscore.poses.cmu import CmuPoses
        >>> pose = CmuPoses().split("test")[0]
        >>> (outcome,) = PoseModel.load("poses").sample(pose, num=10)  # doctest: +SKIP
    """

    def finisher(self, request: Request) -> Finish | None:
        """Make the function that moves the root of a pose to the origin, unless some of its joints are given."""
        finish = super().finisher(request)
        return finish if request.complete is not None else _AtOrigin(finish)

    def repair(self, outcome: Outcome, request: Request) -> Outcome:
        """Give the bones of samples their lengths, where no given joints are moved by that."""
        if not request.repair or not outcome.samples or "length" not in outcome.samples[0]:
            return outcome
        template = outcome.input
        mask = template.get(MASK.format(POS)) if request.complete is not None and isinstance(template, Data) else None
        return replace(outcome, samples=[_fitted(sample, mask) for sample in outcome.samples])


def _fitted(sample: Data, given: Tensor | None) -> Data:
    lengths, pos = lengths_of(sample), sample[POS]
    bones = (sample.parent >= 0) & (lengths > 0)
    off = (bone_lengths(pos, sample.parent) - lengths)[bones] / lengths[bones]
    fitted = copy(sample)
    fitted.bone_length_error = float(off.abs().mean()) if len(off) else 0.0
    fitted[POS] = with_bone_lengths(pos, sample.parent, lengths, given)
    return fitted


class _AtOrigin:
    """Finish samples with their root at the origin."""

    def __init__(self, finish: Finish | None) -> None:
        self.finish = finish or with_values

    def __call__(self, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
        sample = self.finish(template, graph, values)
        sample[POS] = sample[POS] - sample[POS][int((sample.parent < 0).nonzero()[0])]
        return sample
