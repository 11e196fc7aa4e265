"""Molecules from networkx graphs: atoms from symbols, bonds from bond orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphscore.molecules.elements import atomic_number

_BOND_OF_ORDER = {1.0: 1, 2.0: 2, 3.0: 3, 1.5: 4}


def derive(nodes: dict[str, Any], edges: dict[str, Any], names: Sequence[str]) -> dict[str, Tensor]:
    """Derive molecular attributes of a networkx graph: ``z`` from symbols, ``bond`` from orders, ``charge`` 0."""
    has_bonds = "bond" in edges or "order" in edges or not names
    if not has_bonds or not ("z" in nodes or "element" in nodes):
        return {}
    derived = {}
    if "z" not in nodes:
        derived["z"] = _atomic_numbers(nodes["element"])
    if "bond" not in edges:
        orders = edges["order"].tolist() if names else []
        for order, name in zip(orders, names, strict=True):
            if order not in _BOND_OF_ORDER:
                raise ValueError(f"The bond order of {name} must be 1, 1.5, 2 or 3, but is {order}")
        derived["bond"] = torch.tensor([_BOND_OF_ORDER[order] for order in orders], dtype=torch.long)
    if "charge" not in nodes:
        derived["charge"] = torch.zeros(len(derived.get("z", nodes.get("z", ()))), dtype=torch.long)
    return derived


def _atomic_numbers(symbols: Sequence[str]) -> Tensor:
    return torch.tensor([atomic_number(symbol) for symbol in symbols], dtype=torch.long)
