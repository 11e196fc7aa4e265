"""Formats of output files: records of graphs, and files that grow input by input."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch_geometric.data import Data

from graphscore.data.formats.tables import merge_tables, of_input, table_text
from graphscore.data.readers import GZ, Failure, extension
from graphscore.data.writers import CSV
from graphscore.domains import Reference, domain_of, domains, gather
from graphscore.registry import resolve
from graphscore.runtime.atomic import replacing


class Format(NamedTuple):
    """Format of any graphs, whose file is written as a whole; functions are imported when they are first used.

    Attributes:
        record: Function ``(graph) -> plain values``, which are kept in the unfinished file.
        save: Function ``(records, path, format)`` that writes the file; ``records()`` iterates over all of them.
    """

    record: Reference
    save: Reference


FORMATS = {
    ".pt": Format("graphscore.data.formats.pt:record", "graphscore.data.formats.pt:save"),
    ".npz": Format("graphscore.data.formats.pt:record", "graphscore.data.formats.arrays:save_npz"),
    ".graphml": Format("graphscore.data.formats.graphml:record", "graphscore.data.formats.graphml:save"),
    ".graphml.gz": Format("graphscore.data.formats.graphml:record", "graphscore.data.formats.graphml:save"),
    ".graphml.zip": Format("graphscore.data.formats.graphml:record", "graphscore.data.formats.graphml:save_zip"),
}
"""Formats of any graphs by extension, those of :data:`graphscore.data.writers.GRAPHS`."""


class Output:
    """Format of an output file, by its extension.

    Args:
        path: The file; its extension is one of :func:`graphscore.data.writers.extensions`.

    Attributes:
        is_table: Whether it is a table, with a line for each graph.
        is_single: Whether it takes one graph alone.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.format = path, extension(path)
        self.text_format = self.format.removesuffix(GZ)
        self.is_table = self.format == CSV
        of_domains = {name: Format(*functions) for name, functions in gather("formats").items()}
        self._whole = (FORMATS | of_domains).get(self.format)
        self.is_single = any(self.format in domain.single for domain in domains())
        self._text = None if self._whole or self.is_table else resolve(gather("writers")[self.text_format])

    def unfit(self, item: Data) -> str:
        """Reason why a graph does not fit the format; empty if it does."""
        if self._text is None or self.text_format in domain_of(item).writers:
            return ""
        owner = next(domain for domain in domains() if self.text_format in domain.writers)
        return f"{self.path} takes {owner.name}"

    def record(self, item: Data) -> Any:
        """Make the record of a graph.

        Raises:
            ValueError: If it does not fit the format.
        """
        if self._whole is not None:
            return resolve(self._whole.record)(item)
        return resolve(domain_of(item).row)(item) if self._text is None else self._text(item)

    def rows(self, records: Sequence[Any], number: int, item: Any, failure: str | None) -> Sequence[Any]:
        """Complete the records of an input for a table: its number, and a row for its failure.

        Args:
            records: Records of its samples.
            number: Number of the input, from 1.
            item: The input; anything but a graph has no columns.
            failure: Reason of its failure, if there is one.
        """
        if not self.is_table:
            return records
        rows = [of_input(row, number) for row in records]
        if failure is not None:
            known = (
                {key: item[key] for key in ("name", "smiles", "properties") if key in item}
                if isinstance(item, Data)
                else {}
            )
            own = resolve(domain_of(item).row)(Data(**known)) if known else {}
            place = f"{item.location}: " if isinstance(item, Failure) else ""
            rows.append(of_input(own, number, place + failure))
        return rows

    def part(self, records: Sequence[Any]) -> bytes:
        """Encode the records of an input: what is appended to the file."""
        if not records:
            return b""
        if self._whole is not None:
            buffer = io.BytesIO()
            torch.save(list(records), buffer)
            return buffer.getvalue()
        return self.encode(table_text(records) if self.is_table else "".join(records))

    def encode(self, text: str) -> bytes:
        """Encode text, compressed if the extension says so, as a part that may follow any others."""
        content = text.encode("utf-8", "replace")
        return gzip.compress(content, mtime=0) if content and self.format.endswith(GZ) else content

    def finish(self, partial: Path, sizes: Callable[[], Iterable[int]]) -> None:
        """Move a file of parts to its final path; if its parts do not simply follow each other, merge them.

        Args:
            partial: The file of parts.
            sizes: Returns the sizes of the file after each part.
        """
        if self._text is not None:
            os.replace(partial, self.path)
            return

        def parts() -> Iterable[bytes]:
            before = 0
            with partial.open("rb") as stream:
                for size in sizes():
                    if size > before:
                        yield stream.read(size - before)
                    before = size

        if self._whole is not None:

            def records() -> Iterable[Any]:
                return (made for part in parts() for made in torch.load(io.BytesIO(part), weights_only=True))

            with replacing(self.path) as temporary:
                resolve(self._whole.save)(records, temporary, self.format)
            return
        with replacing(self.path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
            merge_tables(lambda: (part.decode("utf-8") for part in parts()), stream)

    def save(self, records: Sequence[Any], path: Path) -> None:
        """Write all records to a file of this format."""
        if self._whole is not None:
            resolve(self._whole.save)(lambda: records, path, self.format)
        else:
            path.write_bytes(self.part(records))
