"""Windows: consecutive inputs that are worked on together, so that memory stays bounded and results come steadily."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

NUM_BATCHES = 16
"""Full batches in a window, at most: with more, hardly anything is saved by filling the last one."""
NUM_INPUTS = 500
"""Inputs in a window, at most."""
AHEAD = 64
"""Full batches up to which :func:`shares` reads ahead, to find out how much there is."""


def windows(
    items: Iterable[Item], cost: Callable[[Item], float], most: Callable[[float], float], num_items: int = NUM_INPUTS
) -> Iterator[list[Item]]:
    """Cut a stream into windows, which depend on the items alone; nothing is read ahead but one item.

    Args:
        items: The stream.
        cost: What an item costs.
        most: Called with what all windows before cost; returns what the next one may cost. A single item may exceed it.
        num_items: Items of a window at most.

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
    """Cut a stream into windows that workers can share: about a sixteenth of all that there is, or was so far.

    Args:
        items: The stream, of which as much as fills :data:`AHEAD` batches is read ahead.
        cost: What an item costs.
        batch: Cost of a full batch.
        least: Full batches in a window, at least.

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
    """What was read ahead and then the rest, of which nothing is kept."""
    while ahead:
        yield ahead.popleft()
    yield from items
