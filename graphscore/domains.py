"""Domains: kinds of graphs, such as molecules, with their own files, metrics and pictures.

A domain is a folder and one object: :class:`Domain` names its data sets, readers, writers, metrics and pictures by
import path; each is imported when it is first used. The library has those of :data:`DOMAINS`. Your own package adds
another by an entry point of the group ``graphscore.domains``, in its ``pyproject.toml``::

    [project.entry-points."graphscore.domains"]
    grids = "my_package.grids:GRIDS"

This module imports no domain, nor does any module that domains import: code that reads, writes or shows graphs calls
:func:`domain_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from graphscore.attributes import ATTRIBUTES, Attribute
from graphscore.registry import resolve

if TYPE_CHECKING:  # a wrong path is reported before PyTorch is loaded
    from importlib.abc import Traversable

    from torch_geometric.data import Data

Reference = str | Callable[..., Any]
"""A function or class, or its import path ``package.module:name``."""

GROUP = "graphscore.domains"
DOMAINS: dict[str, str] = {
    "molecules": "graphscore.molecules.domain:MOLECULES",
    "clouds": "graphscore.clouds.domain:CLOUDS",
    "layouts": "graphscore.layouts.domain:LAYOUTS",
    "poses": "graphscore.poses.domain:POSES",
}


def accept_all(sample: Data) -> bool:
    """Accept any sample."""
    return True


def no_group(item: Data) -> str:
    """Return an empty group key, which puts each graph into a group of its own."""
    return ""


def nothing_unknown(item: Data, known: Mapping[str, Collection[int]]) -> str:
    """Return an empty string: whether a model knows the values of a graph shows when it is sampled."""
    return ""


def row_label(template: Data, graph: Data, name: str, row: int) -> str:
    """Describe a row of an attribute by its number."""
    return f"row {row}"


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A kind of graphs, with its data sets, file formats, metrics and pictures.

    Members that are import paths are imported by :func:`~graphscore.registry.resolve` when they are used.

    Attributes:
        name: Name of the domain.
        keys: Attributes by which its graphs are recognised; see :func:`domain_of`.
        attributes: Attributes of its graphs beside those of :data:`graphscore.attributes.ATTRIBUTES`.
        package: Package whose folders ``configs/`` and ``weights/`` hold its configurations and model files.
        datasets: Classes of data sets, by name.
        transforms: Classes of transforms, by name.
        denoisers: Classes of score models around a network, by name, see :mod:`graphscore.denoiser.denoisers`.
        checksums: Checksums of published data files, ``sha256:...`` or ``md5:...``, by the name of the file.
        recipes: Functions ``(out, workers, progress, **options) -> files`` that build an embedded data set, by name.
        parse: Function ``(strings) -> iterator of graphs and failures`` that reads arguments of the command line.
        readers: Functions ``(path) -> iterable of (location, function that makes the graph)``, by extension.
        guess: Function ``(lines) -> extensions`` that recognises one of these formats by the first lines of a file, see
            :func:`graphscore.data.formats.detection.guess_format`.
        shared: Formats of this domain, among those of ``readers``, by an extension of another domain: a file with that
            extension has the format if ``guess`` recognises it, as ``.xyz`` are points or atoms.
        formats: Functions ``(graph) -> plain values`` and ``(records, path, format) -> None`` that write files as a
            whole, by extension; see :class:`graphscore.data.outputs.Format`.
        single: Those of ``formats`` that take one graph alone.
        layout_of: Function ``(path) -> KnownLayout or None`` that recognises folders in a published layout, see
            :class:`graphscore.experiment.proposal.survey.KnownLayout`; ``None`` if there are no such.
        folder_extensions: Extensions, among those of ``readers``, of the files to read in a folder.
        writers: Functions ``(graph) -> str`` that make one record of a text file, by extension.
        row: Function ``(graph) -> columns`` that describes a graph, with or without coordinates, as a row of a table.
        drawing: The :class:`~graphscore.experiment.drawings.view.Style` of pictures and pages of graphs with positions.
        cell: Function ``(outcome) -> str or None`` that shows samples in a notebook, as HTML, if they can be drawn; see
            :func:`graphscore.experiment.drawings.cell.cell`.
        viewers: Functions ``(file, out, reference, trajectories)`` that draw the graphs of a file and return a
            :class:`~graphscore.experiment.evaluation.files.View`, by the extension of the output file.
        trajectories: Class of recorders of sampling trajectories,
            :class:`~graphscore.experiment.sampling.trajectories.Trajectories` or a subclass.
        splits: Functions ``(graph) -> str``, by name: graphs with equal keys come into the same part of a split. The
            first is the default.
        group: Function ``(graph) -> str`` that gives the group key; graphs with equal keys are samples of the same
            conditional distribution, such as the conformers of a molecule. Empty for a group of its own.
        derive: Function ``(nodes, edges, edge_names) -> attributes`` that completes the columns of a networkx graph,
            such as atomic numbers from symbols; empty where there is nothing to complete.
        derived_from: Names of the columns that ``derive`` and ``complete`` read, which the attributes replace.
        complete: Function ``(graph) -> graph`` that completes a graph of this domain that comes from networkx, such as
            by hydrogens; empty where there is nothing to complete.
        identity: Function ``(graph, marks) -> (key, order)`` that identifies a graph apart from its fields: equal
            graphs have equal keys, and their nodes ``order`` ``[N]`` correspond to each other; ``marks`` says whether
            marks, such as those of stereochemistry, count, which a graph may lack.
        label: Function ``(template, graph, name, row) -> str`` that describes the node or edge of a row for messages.
        accept: Function ``(sample) -> bool`` that checks that a sample fits its input; others are drawn again.
        weights: Name of the model that comes with the package and is taken by default.
        starter: Name of a configuration of the domain, which ``graphscore config new`` writes for files of its graphs
            with another data set, number of steps and batch size.
        unknown: Function ``(graph, known) -> str``: why a model cannot sample a graph, if it was trained on the values
            ``known`` of integer attributes; empty if nothing speaks against it.
        pipeline: Class of a loaded model, :class:`~graphscore.experiment.sampling.pipeline.Pipeline` or a subclass.
        evaluate: Function ``(generated, reference, *, progress, **options) -> report`` that compares the graphs of two
            files, given by their paths; the report is written as JSON.
        scores: Numbers of that report by which the best model of a training may be chosen, and whether the best is the
            ``"highest"`` or the ``"lowest"``: keys, with dots between those of nested mappings, or patterns of them
            (``*``).
        report: Function ``(groups, samples, out, seed)`` that measures, writes and draws the samples of a demo, and
            returns a :class:`~graphscore.experiment.evaluation.reports.Report`. ``groups`` holds the references of each
            group, ``samples`` the samples of each group by method.
        tables: Function ``(console, scores) -> None`` that prints such scores, or the report of ``evaluate``.
    """

    name: str
    keys: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    package: str | None = None
    datasets: Mapping[str, Reference] = field(default_factory=dict)
    transforms: Mapping[str, Reference] = field(default_factory=dict)
    denoisers: Mapping[str, Reference] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    recipes: Mapping[str, Reference] = field(default_factory=dict)
    parse: Reference | None = None
    readers: Mapping[str, Reference] = field(default_factory=dict)
    guess: Reference | None = None
    shared: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, tuple[Reference, Reference]] = field(default_factory=dict)
    single: tuple[str, ...] = ()
    layout_of: Reference | None = None
    folder_extensions: tuple[str, ...] = ()
    writers: Mapping[str, Reference] = field(default_factory=dict)
    row: Reference = "graphscore.data.formats.tables:plain_row"
    drawing: Reference = "graphscore.experiment.drawings.view:PLAIN"
    cell: Reference = "graphscore.experiment.drawings.cell:cell"
    viewers: Mapping[str, Reference] = field(
        default_factory=lambda: dict.fromkeys((".png", ".html", ".svg"), "graphscore.experiment.drawings.view:view")
    )
    trajectories: Reference = "graphscore.experiment.sampling.trajectories:Trajectories"
    splits: Mapping[str, Reference] = field(default_factory=dict)
    group: Reference = no_group
    derive: Reference | None = None
    derived_from: tuple[str, ...] = ()
    complete: Reference | None = None
    identity: Reference = "graphscore.generate.inputs:identity"
    label: Reference = row_label
    accept: Reference = accept_all
    weights: str | None = None
    starter: str | None = None
    unknown: Reference = nothing_unknown
    pipeline: Reference = "graphscore.experiment.sampling.pipeline:Pipeline"
    evaluate: Reference | None = None
    scores: Mapping[str, Literal["highest", "lowest"]] = field(default_factory=dict)
    report: Reference = "graphscore.experiment.evaluation.reports:report_graphs"
    tables: Reference = "graphscore.experiment.evaluation.reports:show_scores"

    def owns(self, item: Data) -> bool:
        """Tell whether a graph has the attributes of this domain."""
        return all(key in item for key in self.keys)


GRAPHS = Domain(
    name="graphs",
    keys=(),
    evaluate="graphscore.experiment.evaluation.graphs:evaluate",
    scores={"distance of *": "lowest"},
)
"""The domain of all other graphs."""


@cache
def domains() -> tuple[Domain, ...]:
    """List all domains of this library and of installed packages.

    Raises:
        ValueError: If an installed domain cannot be imported, is not a :class:`Domain`, or has the name of another.
    """
    found = dict(DOMAINS)
    for point in entry_points(group=GROUP):
        if found.setdefault(point.name, point.value) != point.value:
            raise ValueError(f"The domain {point.name!r} of {point.value} has the name of {found[point.name]}")
    loaded = {name: resolve(path) for name, path in found.items()}
    for name, domain in loaded.items():
        if not isinstance(domain, Domain):
            raise ValueError(f"The domain {name!r} must be a Domain, but {found[name]} is {type(domain).__name__}")
    return tuple(loaded.values())


def domain_of(item: Data) -> Domain:
    """Find the domain of a graph: the one with the most keys, all of which the graph has, or else :data:`GRAPHS`."""
    return max((domain for domain in (GRAPHS, *domains()) if domain.owns(item)), key=lambda domain: len(domain.keys))


def gather(member: str) -> dict[str, Any]:
    """Merge a mapping of all domains, such as ``datasets`` or ``readers``.

    Raises:
        ValueError: If two domains have the same name or extension in it.
    """
    found: dict[str, Any] = {}
    for domain in domains():
        for name, reference in getattr(domain, member).items():
            if name in found:
                raise ValueError(f"{name!r} is among the {member} of two domains, {domain.name} the second")
            found[name] = reference
    return found


@cache
def attributes() -> dict[str, Attribute]:
    """List the graph attributes with a fixed meaning in this library, including those of all domains."""
    return ATTRIBUTES | gather("attributes")


def packaged(folder: str, suffix: str) -> dict[str, Traversable]:
    """List the files in a folder of each domain's package, by name without suffix.

    Args:
        folder: ``"configs"`` or ``"weights"``.
        suffix: Such as ``".yaml"``; other files are left out.

    Raises:
        ValueError: If two domains have a file of the same name.
    """
    found: dict[str, Traversable] = {}
    for domain in domains():
        place = None if domain.package is None else files(domain.package) / folder
        for file in () if place is None or not place.is_dir() else place.iterdir():
            name = file.name.removesuffix(suffix)
            if name in found:
                raise ValueError(f"Two domains have a file {file.name} among their {folder}, {domain.name} the second")
            if name != file.name:
                found[name] = file
    return dict(sorted(found.items()))
