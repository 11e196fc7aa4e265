"""Callbacks and loggers of Lightning that a configuration can name."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger


def early_stopping(patience: int = 10, min_delta: float = 0.0, monitor: str = "val_loss") -> EarlyStopping:
    """Stop the training when a value of the log no longer falls.

    Args:
        patience: Number of validations without an improvement, after which the training stops.
        min_delta: Smallest change that counts as an improvement.
        monitor: Name of the value, a column of ``metrics.csv`` that validations write.

    Raises:
        ValueError: If the patience is less than 1.
    """
    if patience < 1:
        raise ValueError(f"early-stopping: patience must be at least 1, but is {patience}")
    return EarlyStopping(monitor, min_delta=min_delta, patience=patience, check_finite=False)


def wandb(out: Path, project: str = "graphscore", name: str | None = None, offline: bool = False) -> Logger:
    """Log to Weights & Biases, too.

    Args:
        out: Folder of the run.
        project: Name of the project there.
        name: Name of the run there; by default that of the folder.
        offline: Whether to keep the log here, to send it later.

    Raises:
        ModuleNotFoundError: If the package ``wandb`` is not installed.
    """
    return WandbLogger(name or out.name, save_dir=out, project=project, offline=offline)


def mlflow(out: Path, uri: str | None = None, project: str = "graphscore", name: str | None = None) -> Logger:
    """Log to MLflow, too.

    Args:
        out: Folder of the run.
        uri: Address of the server; by default the folder ``mlruns`` in that of the run.
        project: Name of the experiment there.
        name: Name of the run there; by default that of the folder.

    Raises:
        ModuleNotFoundError: If the package ``mlflow`` is not installed.
    """
    folder = None if uri else str(out / "mlruns")
    return MLFlowLogger(project, run_name=name or out.name, tracking_uri=uri, save_dir=folder)
