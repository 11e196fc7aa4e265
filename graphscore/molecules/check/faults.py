"""Faults of a conformer: what is wrong with it, where, and by how much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a conformer; its string is a sentence for a report.

    Attributes:
        kind: ``"coordinates"`` (not finite), ``"bond"``, ``"stretch"`` (a bond a little too long or short),
            ``"angle"``, ``"contact"``, ``"plane"`` (an aromatic ring, a double bond or an sp2 carbon that is not flat),
            ``"flat ring"`` (a saturated six-membered ring that is), ``"centre"`` (R/S), ``"double bond"`` (E/Z) or
            ``"axis"`` (of atropisomers and allenes).
        atoms: Numbers of its atoms, from 0.
        reason: The place, the value and what was expected, such as ``bond C3-C4 0.82 Å, expected 1.28 to 1.75``.
        doubtful: Whether PoseBusters refuses it, although minima of GFN2-xTB of some molecules have it too: conjugated
            rings that are flat, strained double bonds that are not, and close contacts that are no clash.
    """

    kind: str
    atoms: tuple[int, ...]
    reason: str
    doubtful: bool = False

    def __str__(self) -> str:
        return self.reason
