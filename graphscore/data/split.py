"""Splits that depend on the item alone, so that they are stable, disjoint and the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

PARTS = ("train", "val", "test")


def part_of(key: str, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> int:
    """Assign a key to a part by a hash of seed and key.

    Args:
        key: What makes two items "the same", e.g. the SMILES without stereo marks.
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
    """A seed below 2**32 for what is drawn for one item, whatever else is drawn."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:4], "big")


def split_by_key(
    keys: Sequence[str], fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> tuple[list[int], ...]:
    """Split items by key: equal keys always come into the same part, and adding items moves no other.

    Args:
        keys: One key per item.
        fractions: Expected share of each part (of distinct keys); the real shares fluctuate.
        seed: Another seed gives another split.

    Returns:
        One sorted list of indices per fraction, disjoint, together all of ``range(len(keys))``.
    """
    parts: tuple[list[int], ...] = tuple([] for _ in fractions)
    for i, key in enumerate(keys):
        parts[part_of(key, fractions, seed)].append(i)
    return parts
