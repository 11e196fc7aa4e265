"""Inputs of a sampling job, read one by one from SMILES strings or files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch_geometric.data import Data

from graphscore.attributes import READ_FROM
from graphscore.cli.checks import check_source
from graphscore.cli.stdin import shown
from graphscore.data.packed.index import digest_of, is_packed
from graphscore.data.readers import Failure
from graphscore.data.sources import count_records, iterate_files
from graphscore.molecules.domain import MOLECULES
from graphscore.registry import resolve

if TYPE_CHECKING:  # only molecules need RDKit
    from graphscore.cli.run_parts import PartInputs
    from graphscore.cli.starts import StartedInputs
    from graphscore.molecules.fragments import Fragment


class Inputs:
    """Inputs of a job from SMILES strings or files, which are read again in each iteration.

    Graphs of several files have the attribute :data:`~graphscore.attributes.READ_FROM`.

    Args:
        smiles: SMILES strings.
        path: File, folder or pattern, see :func:`~graphscore.data.sources.find_files`.
        format: Format of the files, if the extension does not give it.
        charge: Charge of their molecules whose records state none.

    Attributes:
        files: The files.
        nums: ``None``: the request says how many samples there are of each input.
        notes: Warnings; none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As for :func:`~graphscore.cli.checks.check_source`, or if the only file cannot be read as a whole.
    """

    nums: Sequence[int] | None = None
    notes: Sequence[str] = ()

    def __init__(
        self, smiles: Sequence[str], path: Path | None, format: str | None = None, charge: int | None = None
    ) -> None:
        self.files = check_source(smiles, path, format)
        self.smiles, self.format = list(smiles), format
        self.options = {} if charge is None else {"charge": charge}
        if path is None and (format is not None or self.options):
            raise ValueError(f"--{'charge' if format is None else 'format'} is for --input FILE, not SMILES strings")
        self.num = len(self.smiles)
        if path is not None:
            try:
                self.num = count_records(self.files, format, **self.options)
            except ValueError as error:
                raise ValueError(str(error).replace(str(path), shown(path))) from error

    def __len__(self) -> int:
        return self.num

    def __iter__(self) -> Iterator[Data | Failure]:
        if not self.files:
            assert MOLECULES.parse is not None
            yield from resolve(MOLECULES.parse)(self.smiles)
        for file, place, item in iterate_files(self.files, self.format, **self.options):
            if isinstance(item, Failure):
                item = replace(item, source=shown(file))
            elif len(self.files) > 1:
                item[READ_FROM] = f"{file}, {place}"
            yield item

    def first(self) -> Data:
        """Read the first valid graph.

        Raises:
            ValueError: If there is none.
        """
        problem: Failure | None = None
        for item in self:
            if isinstance(item, Data):
                return item
            problem = problem or item
        raise ValueError(str(problem))

    def digest(self) -> str:
        """Compute a hash of the content, and of the names of several files."""
        digest = hashlib.sha256("\n".join([*self.smiles, *map(str, self.options.values())]).encode())
        for path in self.files:
            if len(self.files) > 1:
                digest.update(f"\n{path} {path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
            if is_packed(path):
                digest.update(digest_of(path).encode())
                continue
            with path.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
        return digest.hexdigest()


class Fitting:
    """Inputs with a failure in place of each that does not fit the output format.

    Args:
        inputs: The inputs.
        unfit: Returns the reason if the output cannot hold an input, and otherwise an empty string.
    """

    def __init__(self, inputs: Inputs | PartInputs | StartedInputs, unfit: Callable[[Data | Failure], str]) -> None:
        self.inputs, self.unfit = inputs, unfit

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[Data | Failure]:
        for number, item in enumerate(self.inputs, start=1):
            reason = self.unfit(item)
            yield Failure("input", f"graph {number}", f"{reason}, but it is none") if reason else item


def read_fragment(smarts: str | None, template: Path | None) -> Fragment | None:
    """Read the fragment of the options ``--fix`` and ``--from``; ``None`` without them.

    Raises:
        ValueError: If only one is given, or as for :meth:`graphscore.molecules.fragments.Fragment.read`.
        FileNotFoundError: If there is no such file.
    """
    if smarts is None and template is None:
        return None
    if smarts is None or template is None:
        raise ValueError("--fix SMARTS and --from FILE belong together: which atoms are held, and where they are")
    from graphscore.molecules.fragments import Fragment

    return Fragment.read(smarts, template)


def label(item: Data | Failure, number: int) -> str:
    """Name an input in a report by its name, its SMILES, its place in one of several files, or its number."""
    if isinstance(item, Failure):
        return f"{item.source}, {item.location}"
    return item.get("name") or item.get("smiles") or item.get(READ_FROM) or f"graph {number + 1}"
