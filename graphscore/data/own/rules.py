"""Rules that assign graphs to the parts of a split: by the hash of a key, by lists of ids, by file, or as recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.formats.text import read_lines
from graphscore.data.own_graph import OwnGraph
from graphscore.data.split import FRACTIONS, PARTS, Part, part_of
from graphscore.domains import gather
from graphscore.registry import close_to, shown

RANDOM, GROUP = "random", "group"
SPLIT_OPTIONS = ("split", "fractions", "seed")
"""Options of :func:`make_rule`, which data sets of any graphs take."""
_FEW = 100  # different keys: with more, hardly any part stays empty by chance
_TRIED = 1000  # seeds


class Rule(ABC):
    """Rule that assigns graphs to parts.

    Attributes:
        text: The rule in words.
        separates: Whether the rule itself keeps equal graphs in one part.
    """

    text: str
    separates: bool = False

    @abstractmethod
    def part(self, own: OwnGraph) -> Part | None:
        """Assign a graph to a part; ``None`` leaves it out.

        Raises:
            ValueError: If the graph cannot be assigned.
        """

    def finish(self) -> list[str]:
        """Return notes on what did not fit, when all graphs have been assigned.

        Raises:
            ValueError: If it did not fit at all.
        """
        return []

    def fill(self, parts: Sequence[Part]) -> str:
        """Say how parts that got no graphs would get some; empty if nothing can be said."""
        return ""


class ByHash(Rule):
    """Split by the hash of a key, which does not change when graphs are added; see :func:`part_of`.

    Args:
        by: ``"random"`` for each graph on its own, by its place; ``"group"`` for the groups of the domain, such as the
            conformers of a molecule; one of the domain's ``splits``; by default the first of these, or else the place.
        attribute: Attribute of the graphs, or property of their records, instead: one value for each graph.
        fractions: Expected shares of train, val and test.
        seed: Another seed gives another split.
    """

    def __init__(
        self, by: str | None, attribute: str | None = None, fractions: Sequence[float] = FRACTIONS, seed: int = 0
    ) -> None:
        part_of("", fractions, seed)  # reports wrong fractions before anything is read
        self.by, self.attribute, self.fractions, self.seed = by, attribute, fractions, seed
        what = f"the attribute {attribute!r}" if attribute else by or "the default of the graphs' domain"
        self.text = f"by {what}, fractions {list(fractions)}, seed {seed}"
        self.separates = by not in (RANDOM, GROUP) and attribute is None
        self._keys: set[str] = set()

    def part(self, own: OwnGraph) -> Part | None:
        """Assign a graph by the hash of its key."""
        key = self._key(own)
        if len(self._keys) < _FEW:
            self._keys.add(key)
        return PARTS[part_of(key, self.fractions, self.seed)]

    def fill(self, parts: Sequence[Part]) -> str:
        """Name the first seed by which each part that has a share gets some of a few keys."""
        shares = {number for number, fraction in enumerate(self.fractions) if fraction > 0}
        if len(self._keys) == _FEW or not shares & {PARTS.index(part) for part in parts}:
            return ""
        few = f"Only {len(self._keys)} different molecules, groups or graphs are to be split"
        for seed in range(_TRIED):
            if {part_of(key, self.fractions, seed) for key in self._keys} >= shares:
                return f"{few}: data.dataset.seed={seed} leaves no part empty"
        return f"{few}: that takes more data, or a file for each part, data.dataset.path={{train: FILE, val: FILE}}"

    def _key(self, own: OwnGraph) -> str:
        if self.attribute is not None:
            return attribute_key(own.graph, self.attribute)
        if self.by == RANDOM:
            return own.place
        domain = own.domain
        if self.by == GROUP:
            if not (key := own.group_key):
                raise ValueError(
                    f"it is one of the {domain.name}, which have no groups: name an attribute, split={{group: NAME}}"
                )
            return key
        by = next(iter(domain.splits), None) if self.by is None else self.by
        if by is None:
            return own.place
        if by not in domain.splits:
            raise ValueError(f"it is one of the {domain.name}, which have no split by {by!r}")
        return own.split_key(by) or own.place


def attribute_key(graph: Data, name: str) -> str:
    """Write the value of an attribute of a graph, or of a property of its record, as a key.

    Raises:
        ValueError: If there is no such attribute, or it is not one value for the graph.
    """
    properties = graph.get("properties")
    value = graph.get(name)
    if value is None and isinstance(properties, Mapping):
        value = properties.get(name)
    if value is None:
        known = sorted({*graph.keys(), *(properties if isinstance(properties, Mapping) else ())})
        raise ValueError(f"it has no attribute {name!r} to split by; it has {known}")
    if isinstance(value, Tensor):
        distinct = value.unique().tolist()
        if len(distinct) != 1:
            raise ValueError(f"{name!r} must be one value for each graph to split by, but it has {len(distinct)}")
        value = distinct[0]
    if not isinstance(value, str | int | float):
        raise ValueError(f"{name!r} must be text or a number to split by, but is {shown(value)}")
    return str(value)


class ByPart(Rule):
    """Split as given: each file, or list of graphs, is for one part."""

    text = "each part on its own"

    def part(self, own: OwnGraph) -> Part | None:
        """Return the part of the file."""
        return own.part


class ByIds(Rule):
    """Split by lists of ids.

    An id is the ``name`` of a graph, or for a graph without a name its number in the file from 1, in a data set of
    several files ``FILE:NUMBER``; the name of a file stands for all its graphs. Lists are text, one id in each line;
    empty lines and those that begin with ``#`` are skipped. Graphs that are in no list go to train if it has no list,
    and are left out otherwise.

    Args:
        lists: File of each list, by part.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a list is empty, or an id is in two lists.
    """

    def __init__(self, lists: Mapping[str, str | Path]) -> None:
        self.lists: dict[Part, str | Path] = {part: lists[part] for part in PARTS if part in lists}
        self.text = "by lists of ids: " + ", ".join(f"{part} {file}" for part, file in self.lists.items())
        self._parts: dict[str, Part] = {}
        twice: list[str] = []
        for part, file in self.lists.items():
            for name in _ids(Path(file)):
                if self._parts.setdefault(name, part) != part:
                    twice.append(name)
        if twice:
            files = " and ".join(map(str, self.lists.values()))
            raise ValueError(f"{len(twice)} ids are in two of the lists {files}, such as {twice[0]!r}")
        self._rest: Part | None = None if "train" in lists else "train"
        self._found: set[str] = set()
        self._left: list[str] = []
        self._example = ""
        self._numbered = False
        self._between: list[str] = []

    def part(self, own: OwnGraph) -> Part | None:
        """Look up the id of a graph, and its file."""
        self._example = self._example or own.id
        self._numbered = self._numbered or own.id == own.place
        names = {name for name in (own.id, Path(own.source).name) if name in self._parts}
        self._found |= names
        parts: list[Part] = list({self._parts[name] for name in names})
        if len(parts) > 1:
            self._between.append(own.id)
        if not parts:
            self._left.append(own.id)
        return parts[0] if parts else self._rest

    def finish(self) -> list[str]:
        """Say which ids are of no graph, and how many graphs are in no list."""
        if self._between:
            raise ValueError(
                f"{len(self._between)} graphs are in one list by their id and in another by their file, such as "
                f"{self._between[0]!r}"
            )
        notes = []
        for part, file in self.lists.items():
            ids = [name for name, of in self._parts.items() if of == part]
            unknown = [name for name in ids if name not in self._found]
            hint = f"such as {unknown[0]!r}; ids of graphs are such as {self._example!r}" if unknown else ""
            if self._numbered and any(name.rpartition(":")[2] == "0" for name in unknown):
                raise ValueError(f"Graphs without a name are numbered from 1, but {file} has 0")
            if len(unknown) == len(ids):
                raise ValueError(f"None of the {len(ids)} ids in {file} is that of a graph, {hint}")
            if unknown:
                notes.append(f"{len(unknown)} of {len(ids)} ids in {file} are of no graph, {hint}")
        if self._left:
            goes = "are left out" if self._rest is None else "are the part train"
            notes.append(f"{len(self._left)} graphs are in no list and {goes}, such as {self._left[0]!r}")
        return notes


def _ids(file: Path) -> dict[str, None]:
    if not file.is_file():
        raise FileNotFoundError(f"There is no list of ids {file}")
    lines = (line.strip() for line in read_lines(file))
    ids = dict.fromkeys(line for line in lines if line and not line.startswith("#"))
    if not ids:
        raise ValueError(f"Expected ids of graphs in {file}, one in each line, but it has none")
    return ids


class Recorded(Rule):
    """Split as it was recorded before.

    Args:
        text: The rule by which it was made, in words.
        parts: For each file, the part of each record: the number of the part in :data:`PARTS` plus 1, or 0 for none.
    """

    separates = True

    def __init__(self, text: str, parts: Mapping[str, bytes]) -> None:
        self.text, self.parts = text, parts

    def part(self, own: OwnGraph) -> Part | None:
        """Look up the record of a graph."""
        codes = self.parts.get(own.source, b"")
        code = codes[own.number - 1] if own.number <= len(codes) else 0
        return PARTS[code - 1] if code else None


def make_rule(
    split: str | Mapping[str, str] | None, fractions: Sequence[float], seed: int, files: Sequence[str | None] = (None,)
) -> Rule:
    """Make the rule that the options of a data set describe.

    Args:
        split: ``"random"``, ``"group"``, one of the ``splits`` of domains, ``{"group": attribute}``, or lists of ids
            ``{"train": file, "val": file, "test": file}``; ``None`` for the default of the graphs' domain.
        fractions: Expected shares of train, val and test, for a split by hash.
        seed: Seed of a split by hash.
        files: Parts that have files of their own; ``None`` for files of all parts.

    Raises:
        ValueError: If there is no such split, or options contradict each other.
        FileNotFoundError: If there is no such list.
    """
    own = None not in files
    listed = split if isinstance(split, Mapping) and split and split.keys() <= set(PARTS) else None
    if own and split is not None:
        raise ValueError(f"Each part has graphs of its own, so that nothing is to be split by {shown(split)}")
    if (own or listed) and tuple(fractions) != FRACTIONS:
        raise ValueError(f"Fractions are for a split by hash, but got {list(fractions)} with files or lists for parts")
    if own:
        return ByPart()
    if listed:
        return ByIds(listed)
    if isinstance(split, Mapping) and list(split) == [GROUP] and isinstance(split[GROUP], str):
        return ByHash(None, split[GROUP], fractions, seed)
    known = sorted({RANDOM, GROUP, *gather("splits")})
    if split is None or (isinstance(split, str) and split in known):
        return ByHash(split, None, fractions, seed)
    hint = close_to(split, known) if isinstance(split, str) else ""
    raise ValueError(
        f"Expected split to be one of {known}, {{group: ATTRIBUTE}} or lists of ids {{train: FILE, val: FILE, "
        f"test: FILE}}, but got {shown(split)}{hint}"
    )
