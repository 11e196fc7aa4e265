"""Data: readers, writers, transforms, splits and data sets.

This package imports with the core dependencies alone; what needs RDKit or scikit-learn imports it when used.
Molecules from SMILES and RDKit are in :mod:`graphscore.data.molecules`.
"""

from graphscore.data.dataset import DATASETS, Dataset, load_dataset
from graphscore.data.files import FileDataset
from graphscore.data.networkx_io import from_networkx, to_networkx
from graphscore.data.readers import Failure, ReadResult, read, read_smiles
from graphscore.data.split import split_by_key
from graphscore.data.transforms import CompleteGraph, HopGraph, LaplacianEncoding, RandomWalkEncoding
from graphscore.data.writers import write

__all__ = [
    "DATASETS",
    "CompleteGraph",
    "Dataset",
    "Failure",
    "FileDataset",
    "HopGraph",
    "LaplacianEncoding",
    "RandomWalkEncoding",
    "ReadResult",
    "from_networkx",
    "load_dataset",
    "read",
    "read_smiles",
    "split_by_key",
    "to_networkx",
    "write",
]
