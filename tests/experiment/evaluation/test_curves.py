from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from graphscore.experiment.evaluation import curves
from graphscore.experiment.evaluation.curves import loss_curve


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Draws a log given as text, and returns the axes."""
    figures: list[Figure] = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, path: figures.append(figure))

    def draw(text: str):
        log = tmp_path / "metrics.csv"
        log.write_text(text)
        loss_curve(log, tmp_path / "loss.png")
        return figures[-1].axes[0]

    return draw


LOG = "epoch,loss,loss/pos,step,val_loss\n0,4.0,4.0,0,\n0,2.0,,10,\n0,,,10,3.0\n1,1.0,1.0,20,\n1,,,20,1.5\n"


def test_each_loss_is_drawn_at_its_steps(drawn) -> None:
    raw, smoothed, validation = drawn(LOG).lines
    np.testing.assert_array_equal(raw.get_xydata(), [[0, 4], [10, 2], [20, 1]])
    np.testing.assert_array_equal(smoothed.get_xydata(), raw.get_xydata())  # too few to average
    np.testing.assert_array_equal(validation.get_xydata(), [[10, 3], [20, 1.5]])


def test_axes_are_labeled(drawn) -> None:
    axes = drawn(LOG)
    assert axes.get_xlabel() == "training step"
    assert axes.get_ylabel() == "loss"
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "validation"]


def test_a_log_without_validation_has_the_training_alone(drawn) -> None:
    assert len(drawn("step,loss\n0,2\n1,1\n").lines) == 2


def test_losses_below_zero_get_a_linear_axis(drawn) -> None:
    assert drawn("step,loss\n0,2\n1,-1\n").get_yscale() == "linear"


def test_rows_are_sorted_by_step(drawn) -> None:
    np.testing.assert_array_equal(drawn("step,loss\n20,1\n10,2\n").lines[0].get_xdata(), [10, 20])


def test_the_average_keeps_constants_and_straight_lines(drawn) -> None:
    steps = np.arange(500)
    for losses in (np.full(500, 3.0), 10 + 0.5 * steps):
        text = "step,loss\n" + "".join(f"{s},{y}\n" for s, y in zip(steps, losses, strict=True))
        smoothed = drawn(text).lines[1].get_ydata()
        np.testing.assert_allclose(smoothed[20:-20], losses[20:-20], rtol=1e-12)
    np.testing.assert_allclose(smoothed[[0, -1]], losses[[0, -1]], rtol=0.4)


def test_the_average_reduces_noise_and_passes_over_gaps(drawn) -> None:
    losses = np.exp(np.random.default_rng(0).normal(size=1000))
    gappy = losses.copy()
    gappy[500] = np.nan
    text = "step,loss\n" + "".join(f"{s},{y}\n" for s, y in enumerate(gappy))
    smoothed = drawn(text).lines[1].get_ydata()
    assert np.isfinite(smoothed).all()
    assert smoothed.std() < 0.25 * losses.std()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,val_loss\n0,1\n", r"lacks the columns \['loss'\]"),
        ("", "lacks the columns"),
        ("step,loss,val_loss\n0,,1\n", "has no training loss"),
        ("step,loss\n0,1\n1,oops\n", r"line 3: .*'oops'"),
    ],
)
def test_bad_logs_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        loss_curve(tmp_path / "metrics.csv", tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()


def test_the_file_is_a_picture(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(LOG)
    path = loss_curve(tmp_path / "metrics.csv", tmp_path / "loss.png")
    image = matplotlib.image.imread(path)[..., :3]
    assert image.shape == (840, 1400, 3)
    blue = (image[..., 2] > 0.8) & (image[..., 0] < 0.3)
    assert blue.sum() > 1000
