"""Domains: found by what graphs have, and every reference leads somewhere."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch_geometric.data import Data

from graphscore.domains import DOMAINS, GRAPHS, Domain, domain_of, domains, gather
from graphscore.experiment.drawings.view import Style
from graphscore.molecules.readers import read_smiles
from graphscore.registry import resolve


@pytest.mark.parametrize("domain", [GRAPHS, *domains()], ids=lambda domain: domain.name)
def test_every_reference_can_be_imported(domain: Domain):
    for member in dataclasses.fields(domain):
        value = getattr(domain, member.name)
        for reference in value.values() if isinstance(value, dict) else [value]:
            if isinstance(reference, str) and ":" in reference and member.name != "checksums":
                found = resolve(reference)
                assert callable(found) or isinstance(found, Style), reference


def test_the_domain_with_most_keys_owns_a_graph():
    (molecule,) = read_smiles(["CO"]).items
    assert domain_of(molecule).name == "molecules"
    molecule.pos = torch.zeros(molecule.num_nodes, 3)
    assert domain_of(molecule).name == "molecules"
    assert domain_of(Data(pos=torch.zeros(2, 2))).name == "clouds"
    assert domain_of(Data(num_nodes=2)) is GRAPHS


def test_names_of_domains_are_those_of_the_registry():
    assert {domain.name for domain in domains()} >= set(DOMAINS)
    assert {".sdf", ".xyz"} <= set(gather("writers"))
