"""Averages and bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from graphscore.experiment.evaluation.intervals import interval, mean_and_median, share


def test_mean_and_median_leave_out_what_is_none():
    summary = mean_and_median([0.0, None, 1.0, 5.0])
    assert (summary["mean"], summary["median"]) == (2.0, 1.0)
    assert summary == mean_and_median([0.0, 1.0, 5.0])
    assert mean_and_median([None]) == {"mean": None, "median": None, "mean_ci": None, "median_ci": None}
    assert mean_and_median([3.0]) == {"mean": 3.0, "median": 3.0, "mean_ci": None, "median_ci": None}
    assert mean_and_median([3.0, 3.0])["mean_ci"] == [3.0, 3.0]


def test_the_interval_is_scipys():
    values = np.random.default_rng(1).exponential(size=80)
    for name, statistic in (("mean", np.mean), ("median", np.median)):
        expected = stats.bootstrap(
            (values,), statistic, n_resamples=20_000, method="percentile", random_state=np.random.default_rng(0)
        ).confidence_interval
        width = expected.high - expected.low
        np.testing.assert_allclose(mean_and_median(values.tolist())[f"{name}_ci"], expected, atol=0.1 * width)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """Of 400 samples of 60 Gaussian values, 95 % +- 3.5 % (three standard deviations, and the bootstrap's bias)."""
    rng = np.random.default_rng(0)
    hits = [low < 0 < high for low, high in (mean_and_median(rng.standard_normal(60))["mean_ci"] for _ in range(400))]
    assert 0.915 < np.mean(hits) < 0.985


def test_a_share_weighs_conformers_and_resamples_molecules():
    result = share([1, 0, 3, 0], [1, 3, 4, 0])
    assert (result["share"], result["total"]) == (0.5, 8)
    low, high = result["ci"]
    assert 0 <= low < 0.5 < high <= 1
    assert share([2, 2, 2], [4, 4, 4])["ci"] == [0.5, 0.5]
    assert share([], []) == share([0], [0]) == {"share": None, "ci": None, "total": 0}
    # Molecules that are all right or all wrong leave more open than as many independent conformers.
    whole, mixed = share([10, 0] * 10, [10] * 20), share([5, 5] * 10, [10] * 20)
    assert whole["share"] == mixed["share"] == 0.5
    assert whole["ci"][1] - whole["ci"][0] > 0.3 > mixed["ci"][1] - mixed["ci"][0]


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(2).random((30, 2))
    first, second = (interval(lambda x: x[..., 0].mean(axis=1), values) for _ in range(2))
    assert first == second
    assert interval(lambda x: x.mean(axis=(1, 2)), values[:1]) is None


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_intervals_scale_with_the_values(scale):
    values = np.random.default_rng(3).random(20)
    expected = np.array(mean_and_median(values.tolist())["median_ci"]) * scale
    np.testing.assert_allclose(mean_and_median((scale * values).tolist())["median_ci"], expected)
