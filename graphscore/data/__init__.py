"""Data: readers, writers, transforms, splits and data sets.

This package imports with the core dependencies alone: RDKit and scikit-learn are imported by the functions that need
them. Its names are loaded when they are first used, so that checking a file's name or a SMILES string does not wait for
PyTorch. For molecules from SMILES and RDKit, see :mod:`graphscore.molecules.graph`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphscore.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from graphscore.data.dataset import Dataset, datasets, load_dataset
    from graphscore.data.networkx import from_networkx, to_networkx
    from graphscore.data.own.files import FileDataset
    from graphscore.data.readers import Failure, ReadResult, read
    from graphscore.data.split import split_by_key
    from graphscore.data.transforms import CompleteGraph, HopGraph, LaplacianEncoding, RandomWalkEncoding
    from graphscore.data.writers import write

_HOMES = {
    "dataset": ("Dataset", "datasets", "load_dataset"),
    "own.files": ("FileDataset",),
    "networkx": ("from_networkx", "to_networkx"),
    "readers": ("Failure", "ReadResult", "read"),
    "split": ("split_by_key",),
    "transforms": ("CompleteGraph", "HopGraph", "LaplacianEncoding", "RandomWalkEncoding"),
    "writers": ("write",),
}

__all__ = [
    "CompleteGraph",
    "Dataset",
    "Failure",
    "FileDataset",
    "HopGraph",
    "LaplacianEncoding",
    "RandomWalkEncoding",
    "ReadResult",
    "datasets",
    "from_networkx",
    "load_dataset",
    "read",
    "split_by_key",
    "to_networkx",
    "write",
]

if not TYPE_CHECKING:  # a type checker would accept any name of the package
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
