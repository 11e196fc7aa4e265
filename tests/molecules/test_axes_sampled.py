"""Conformers of marked axes by the shipped weights: atropisomers and allenes come out with the handedness asked for."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdkit")

from graphscore.molecules.axes import sines
from graphscore.molecules.conformers import ConformerModel

BINOL = "Oc1ccc2ccccc2c1-c1c(O)ccc2ccccc12"


@pytest.mark.parametrize(
    ("pair", "axis"),
    [
        ((f"{BINOL} |wD:10.10|", f"{BINOL} |wU:10.10|"), (1, 10, 11, 12)),  # (M), (P)
        (("C(Cl)=[C@@]=CF", "C(Cl)=[C@]=CF"), (1, 0, 3, 4)),
    ],
)
def test_both_enantiomers_have_the_handedness_asked_for(pair: tuple[str, str], axis: tuple[int, ...]):
    signs = []
    for outcome in ConformerModel.load().sample(list(pair), num=2, seed=1):
        assert len(outcome.samples) == 2 and not outcome.notes and outcome.num_refused == 0
        pos = np.stack([sample["pos"].double().numpy() for sample in outcome.samples])
        turned = sines(pos, np.array([axis]))[:, 0]
        assert np.abs(turned).min() > 0.5
        signs.append(set(np.sign(turned)))
    assert signs == [{-1.0}, {1.0}]
