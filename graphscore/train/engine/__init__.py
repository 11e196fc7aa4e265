"""The training loop, on PyTorch Lightning; no other package of the library imports Lightning."""

from graphscore.train.engine.loop import RESUME_FILE, Fit, fit
from graphscore.train.engine.module import DIVERGED_FILE

__all__ = ["DIVERGED_FILE", "RESUME_FILE", "Fit", "fit"]
