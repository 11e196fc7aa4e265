"""Evaluation and pictures of files of graphs, by the metrics and viewers of their domain."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from graphscore.data.readers import Failure
from graphscore.data.sources import find_files, iterate_files
from graphscore.data.writers import check_output, write_json
from graphscore.domains import Domain, domain_of, domains
from graphscore.registry import resolve

Progress = Callable[[int, int], None]


class Evaluation(NamedTuple):
    """Report of the comparison of two files.

    Attributes:
        domain: The domain of the reference graphs.
        report: Numbers and plain values; for molecules, see :func:`graphscore.molecules.evaluate.evaluate_files`.
    """

    domain: Domain
    report: dict[str, Any]


def evaluate_files(
    generated: Path, reference: Path, out: Path | None = None, *, progress: Progress | None = None, **options: Any
) -> Evaluation:
    """Evaluate generated graphs against references by the metrics of their domain.

    Args:
        generated: File, folder or pattern of generated graphs.
        reference: File, folder or pattern of reference graphs.
        out: File for the report, ``*.json``.
        progress: Called with (groups done, total).
        **options: Further options of the domain, such as ``protocol`` for molecules.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file cannot be read, the report cannot be written, the generated graphs are of a more special
            kind than the references, or the domain has no metrics or does not take an option.
    """
    out = None if out is None else check_output(out, [".json"])
    domain = domain_of_file(reference)
    made = domain_of_file(generated)
    if 0 < len(domain.keys) < len(made.keys):  # metrics of simpler graphs leave out what makes them of this kind
        raise ValueError(f"{generated} holds {made.name}, but the reference {reference} holds {domain.name}")
    compare = metrics_of(domain, str(reference), options)
    report = compare(generated, reference, progress=progress, **options)
    if out is not None:
        write_json(report, out)
    return Evaluation(domain, report)


def metrics_of(domain: Domain, what: str, options: Collection[str] = ()) -> Callable[..., dict[str, Any]]:
    """Return the function of a domain that evaluates its graphs.

    Args:
        domain: The domain.
        what: Name of the graphs, for the message.
        options: Names of options that the function must take.

    Raises:
        ValueError: If the domain has no metrics, or they do not take an option.
    """
    if domain.evaluate is None:
        known = [other.name for other in domains() if other.evaluate is not None]
        raise ValueError(f"{what} holds {domain.name}, which cannot be evaluated: there are metrics for {known}")
    compare = resolve(domain.evaluate)
    taken = inspect.signature(compare).parameters
    if unknown := [name for name in options if name not in taken]:
        raise ValueError(f"{what} holds {domain.name}, which are evaluated without --{unknown[0]}")
    return compare


class View(NamedTuple):
    """A picture or page of the graphs of a file.

    Attributes:
        path: The file that was written.
        content: Summary of its content, in a few words.
        notes: Notes on graphs that were left out.
    """

    path: Path
    content: str
    notes: Sequence[str] = ()


def view_file(path: Path, out: Path, reference: Path | None = None, trajectories: Sequence[Path] = ()) -> View:
    """Draw the graphs of a file by the viewer of their domain: a page for molecules, a picture for clouds.

    Args:
        path: Graphs.
        out: File to write, ``.html`` for a page or ``.png`` for a picture.
        reference: Reference graphs.
        trajectories: Files of sampling trajectories that lead to the graphs.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file cannot be read, or the domain draws no such file.
    """
    domain = domain_of_file(path)
    if out.suffix.lower() not in domain.viewers:
        known = " or ".join(domain.viewers) or "nothing"
        raise ValueError(f"{path} holds {domain.name}, which are drawn as {known}, not {out.suffix}")
    return resolve(domain.viewers[out.suffix.lower()])(path, out, reference, trajectories)


def viewed_extensions() -> list[str]:
    """List the file extensions of the viewers of all domains."""
    return sorted({extension for domain in domains() for extension in domain.viewers})


def domain_of_file(path: Path) -> Domain:
    """Find the domain of a file, folder or pattern by its first valid graph.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no valid graph.
    """
    problem: Failure | None = None
    for _, _, item in iterate_files(find_files(path)):
        if not isinstance(item, Failure):
            return domain_of(item)
        problem = problem or item
    raise ValueError(f"No graph of {path} can be read" + ("" if problem is None else f"; the first failure: {problem}"))
