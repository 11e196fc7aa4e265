"""Test tools for score models, samplers and networks: exact models, difficult batches and symmetry checks."""

from graphscore.testing.batches import ragged_batch
from graphscore.testing.circle import WrappedMixtureScore
from graphscore.testing.convergence import GivenDraws, normal_quadrature, observed_order
from graphscore.testing.exact import GaussianMixtureScore, GaussianScore
from graphscore.testing.symmetry import TRANSFORMS, assert_batch_independent, assert_equivariant

__all__ = [
    "TRANSFORMS",
    "GaussianMixtureScore",
    "GaussianScore",
    "GivenDraws",
    "WrappedMixtureScore",
    "assert_batch_independent",
    "assert_equivariant",
    "normal_quadrature",
    "observed_order",
    "ragged_batch",
]
