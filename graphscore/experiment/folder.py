"""Names of the files in the folder of a run; importing this module loads nothing."""

from __future__ import annotations

CONFIG_FILE = "config.yaml"
MODEL_FILE = "model.safetensors"
INIT_FILE = "init.safetensors"
"""Initial weights, if they came from a model."""
KEPT = "checkpoints"
"""Folder of the models that are kept, beside the last and the best."""
LOG_FILE = "logs/metrics.csv"
SKIPPED_FILE = "skipped.json"
