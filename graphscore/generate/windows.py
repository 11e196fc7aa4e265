"""Windows of consecutive inputs that are worked on together, to bound memory and yield results steadily."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

NUM_BATCHES = 16
"""Largest number of full batches in a window: beyond that, filling the last batch saves hardly any time."""
NUM_INPUTS = 500
"""Largest number of inputs in a window."""
AHEAD = 64
"""Number of full batches that :func:`shares` reads ahead, to estimate the total work."""


def windows(
    items: Iterable[Item], cost: Callable[[Item], float], most: Callable[[float], float], num_items: int = NUM_INPUTS
) -> Iterator[list[Item]]:
    """Cut a stream into windows of limited cost, reading only one item ahead.

    Args:
        items: The stream.
        cost: Cost of an item.
        most: Maps the cost of all windows before to the largest cost of the next one. A single item may exceed it.
        num_items: Largest number of items in a window.

    Yields:
        Consecutive items.
    """
    window: list[Item] = []
    before = total = 0.0
    for item in items:
        price = cost(item)
        if window and (total + price > most(before) or len(window) >= num_items):
            yield window
            window, before, total = [], before + total, 0.0
        window.append(item)
        total += price
    if window:
        yield window


def shares(items: Iterable[Item], cost: Callable[[Item], float], batch: float, least: int) -> Iterator[list[Item]]:
    """Cut a stream into windows for worker processes, each about a sixteenth of the work known so far.

    Args:
        items: The stream; up to :data:`AHEAD` batches of it are read ahead.
        cost: Cost of an item.
        batch: Cost of a full batch.
        least: Smallest number of full batches in a window.

    Yields:
        Consecutive items.
    """
    items, ahead, total = iter(items), deque[Item](), 0.0
    for item in items:
        ahead.append(item)
        total += cost(item)
        if total > AHEAD * batch or len(ahead) > 4 * NUM_INPUTS:
            total = max(total, AHEAD * batch)
            break

    def most(before: float) -> float:
        return min(max(max(total, before) / NUM_BATCHES, least * batch), NUM_BATCHES * batch)

    yield from windows(_chain(ahead, items), cost, most, NUM_INPUTS)


def _chain(ahead: deque[Item], items: Iterator[Item]) -> Iterator[Item]:
    """Iterate over the items read ahead and then the rest, without keeping any."""
    while ahead:
        yield ahead.popleft()
    yield from items
