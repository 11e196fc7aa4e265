"""Splits into training, validation and test parts by a hash of each item's key, stable when data are added."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Literal, TypeVar

T = TypeVar("T")
Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
FRACTIONS = (0.8, 0.1, 0.1)


def part_of(key: str, fractions: Sequence[float] = FRACTIONS, seed: int = 0) -> int:
    """Assign a key to a part of a split by a hash of seed and key.

    Args:
        key: Identity of an item, e.g. the SMILES without stereo marks; equal keys come into the same part.
        fractions: Expected share of each part; they sum to 1.
        seed: Another seed gives another split.

    Returns:
        Index into ``fractions``.

    Raises:
        ValueError: If the fractions are not shares.
    """
    if min(fractions, default=-1) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"Fractions must be at least 0 and sum to 1, but are {tuple(fractions)}")
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    # 53 bits: exactly representable, and strictly below 1.
    u = (int.from_bytes(digest[:8], "big") >> 11) / 2**53
    bound = 0.0
    for part, fraction in enumerate(fractions):
        bound += fraction
        if u < bound:
            return part
    return max(part for part, fraction in enumerate(fractions) if fraction > 0)


def seed_of(key: str, seed: int = 0) -> int:
    """Derive a random seed for an item from its key: below 2**32, independent of other items."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:4], "big")


def split_by_key(keys: Sequence[str], fractions: Sequence[float] = FRACTIONS, seed: int = 0) -> tuple[list[int], ...]:
    """Split items by key: equal keys come into the same part, and new items do not move others.

    Args:
        keys: One key per item.
        fractions: Expected share of distinct keys in each part; the actual shares fluctuate.
        seed: Another seed gives another split.

    Returns:
        One sorted list of indices per fraction; together they hold each index once.
    """
    parts: tuple[list[int], ...] = tuple([] for _ in fractions)
    for i, key in enumerate(keys):
        parts[part_of(key, fractions, seed)].append(i)
    return parts


def some_of(items: Sequence[T], most: int | None, seed: int = 0) -> list[T]:
    """Choose items at random, without repetition, in their order: all of them if there are not more than ``most``.

    Args:
        items: Items to choose from.
        most: Largest number of items; ``None`` for all.
        seed: The choice depends on it and on the number of items alone.
    """
    if most is None or len(items) <= most:
        return list(items)
    return [items[i] for i in sorted(random.Random(seed).sample(range(len(items)), most))]
