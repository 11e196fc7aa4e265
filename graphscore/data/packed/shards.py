"""Shards: files with the columns of some thousand graphs, mapped into memory when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from torch import Tensor

from graphscore.data.checksums import file_digest
from graphscore.data.packed.columns import Column, Decoder, Signed, encode, shapes_name, slots_name, values_name
from graphscore.runtime.atomic import replacing
from graphscore.runtime.tensor_files import import_safetensors

WHAT = "Packed graphs"


class ShardInfo(NamedTuple):
    """Entry of a shard in the index of a store.

    Attributes:
        file: Name of the file.
        bytes: Its size.
        sha256: Its checksum.
        graphs: Number of graphs.
        columns: Columns of their attributes, in the order of the file.
    """

    file: str
    bytes: int
    sha256: str
    graphs: int
    columns: list[Column]

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> ShardInfo:
        """Make the entry of its description in JSON."""
        return cls(**{**values, "columns": [Column.of_json(column) for column in values["columns"]]})

    def as_json(self) -> dict[str, Any]:
        """Describe the entry in JSON."""
        return {**self._asdict(), "columns": [column._asdict() for column in self.columns]}

    def check_size(self, folder: Path) -> None:
        """Check that the file is there, and of the right size.

        Raises:
            ValueError: If it is missing or of another size.
        """
        path = folder / self.file
        if not path.is_file():
            raise ValueError(f"The shard {path} is missing: copy the whole folder again, or pack the graphs again")
        if (size := path.stat().st_size) != self.bytes:
            raise ValueError(f"The shard {path} is damaged: it has {size:,} bytes, but {self.bytes:,} were written")

    def check_content(self, folder: Path) -> None:
        """Check that the content of the file is what was written.

        Raises:
            ValueError: If it is missing or altered.
        """
        self.check_size(folder)
        if file_digest(folder / self.file) != self.sha256:
            raise ValueError(f"The shard {folder / self.file} is damaged: its content is not what was written")


def write_shard(
    path: Path, graphs: Sequence[Sequence[Signed]], nodes: Sequence[int], edges: Sequence[int]
) -> ShardInfo:
    """Write the attributes of graphs to a file; see :func:`~graphscore.data.packed.columns.encode`."""
    encoded = encode(graphs, nodes, edges)
    return write_arrays(path, encoded.arrays, len(graphs), encoded.columns)


def write_arrays(path: Path, arrays: Mapping[str, Tensor], num_graphs: int, columns: list[Column]) -> ShardInfo:
    """Write the arrays of a shard to a file, whole or not at all."""
    content = import_safetensors(what=WHAT).torch.save(dict(arrays))
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return ShardInfo(path.name, len(content), hashlib.sha256(content).hexdigest(), num_graphs, columns)


def open_arrays(folder: Path, info: ShardInfo) -> dict[str, Tensor]:
    """Check the content of a shard and map its arrays into memory.

    Raises:
        ValueError: If the file is missing, damaged, or not the one that the index describes.
    """
    info.check_content(folder)
    library = import_safetensors(what=WHAT)
    try:
        return library.torch.load_file(folder / info.file)
    except (library.SafetensorError, OSError) as error:
        raise ValueError(f"The shard {folder / info.file} cannot be read: {error}") from error


class Values(NamedTuple):
    """Mapped values of a column; the offsets and slots are those of :mod:`graphscore.data.packed.columns`."""

    decoder: Decoder
    stored: NDArray[Any]
    offsets: memoryview | None
    slots: memoryview | None
    shapes: NDArray[Any] | None


def open_shard(folder: Path, info: ShardInfo) -> list[Values]:
    """Check the content of a shard and map it into memory.

    Raises:
        ValueError: If the file is missing, damaged, or not the one that the index describes.
    """
    arrays = {name: tensor.numpy() for name, tensor in open_arrays(folder, info).items()}
    try:
        return [
            Values(
                column.decoder,
                arrays[values_name(number)],
                arrays[column.offsets].data if column.offsets else None,
                None if column.everywhere else arrays[slots_name(number)].data,
                arrays[shapes_name(number)] if column.layout == "flat" else None,
            )
            for number, column in enumerate(info.columns)
        ]
    except KeyError as error:
        raise ValueError(f"The shard {folder / info.file} does not fit the index: it lacks {error}") from error
