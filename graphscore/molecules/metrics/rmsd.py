r"""RMSD of conformers after the best superposition and the best matching of equivalent atoms.

For conformers :math:`x` and :math:`y` of n heavy atoms, centred, and the matchings :math:`\pi` of equivalent atoms,

.. math::
    d(x, y)^2 = \frac{1}{n} \min_{\pi} \left( \|x\|^2 + \|y\|^2 - 2 (s_1 + s_2 + \mathrm{sign}(\det H) s_3) \right),
    \qquad H = x^T y_{\pi},

with the singular values :math:`s_1 \ge s_2 \ge s_3` of :math:`H`; the sign excludes reflections. All pairs and
matchings are computed together, but the singular values only where an upper bound shows that they may be the best.

References:
    W. Kabsch (1976), A solution for the best rotation to relate two sets of vectors.
    D. L. Theobald (2005), Rapid calculation of RMSDs using a quaternion-based characteristic polynomial, eq. 6 to 11.
    (the bound: Newton's method converges to the largest root from above)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphscore.molecules.graph import Chem, rdBase, remove_hydrogens

MAX_MATCHES = 10_000

_CHUNK = 1 << 14  # pairs times matchings at once, small enough for the cache of a core
_ROWS = 16  # of all pairs at once
_STEPS = 4  # of Newton's method; with fewer, more singular values are computed, but results stay exact
_ROUNDING = 1e-14  # error of the polynomial
_SLACK = 1e-7  # relative error of its largest root, at worst: a double root, for atoms on a line
_INDEX = "_index"
# RDKit's own convention: two ends that differ only in the drawing of a charge or double bond are equivalent.
_CONJUGATED = Chem.MolFromSmarts("[O,N;D1;$([O,N;D1]-[*]=[O,N;D1]),$([O,N;D1]=[*]-[O,N;D1])]~[*]")
_SINGLE_OR_DOUBLE = Chem.MolFromSmarts("*-,=*").GetBondWithIdx(0)


class Matchings(NamedTuple):
    """Automorphisms of a molecule: equivalent orders of its heavy atoms.

    Attributes:
        atoms: Indices of atoms, ``[A, n]``; each row is one order of the same heavy atoms.
        complete: Whether these are all; otherwise an RMSD over them is an upper bound.
    """

    atoms: NDArray[np.intp]
    complete: bool


def matchings(mol: Chem.Mol) -> Matchings:
    """Find the automorphisms of a molecule without its hydrogens, at most ``MAX_MATCHES``.

    Terminal atoms that differ only in the drawing of a charge or double bond, as in carboxylates and nitro groups,
    count as equivalent.

    Args:
        mol: Molecule with explicit hydrogens.
    """
    mol = Chem.Mol(mol)
    for atom in mol.GetAtoms():
        atom.SetIntProp(_INDEX, atom.GetIdx())
    heavy = remove_hydrogens(mol)
    index = np.array([atom.GetIntProp(_INDEX) for atom in heavy.GetAtoms()], dtype=np.intp)
    query = Chem.RWMol(heavy)
    for end, center in heavy.GetSubstructMatches(_CONJUGATED):
        query.GetAtomWithIdx(end).SetFormalCharge(0)
        query.ReplaceBond(query.GetBondBetweenAtoms(end, center).GetIdx(), _SINGLE_OR_DOUBLE)
    with rdBase.BlockLogs():  # RDKit warns if there are more matches, which `complete` tells
        found = heavy.GetSubstructMatches(query, uniquify=False, maxMatches=MAX_MATCHES + 1)
    kept = found[:MAX_MATCHES]
    return Matchings(index[np.array(kept, dtype=np.intp).reshape(len(kept), len(index))], len(found) == len(kept))


def best_rmsd(x: NDArray[np.float64], y: NDArray[np.float64], orders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Compute the RMSD of all pairs, minimal over proper rotations, translations and matchings.

    Args:
        x: Conformers ``[R, N, 3]`` in Angstrom.
        y: Conformers ``[G, N, 3]`` of the same atoms.
        orders: Atoms to compare, in all their equivalent orders, ``[A, n]``.

    Returns:
        RMSD in Angstrom, ``[R, G]``.
    """
    num_x, num_y, size = len(x), len(y), orders.shape[1]
    if not num_x or not num_y:
        return np.empty((num_x, num_y))
    atoms = np.sort(orders[0])
    orders = np.searchsorted(atoms, orders)
    x, y = x[:, atoms], y[:, atoms]
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    norms = np.square(x).sum(axis=(1, 2))[:, None] + np.square(y).sum(axis=(1, 2))
    rows = x[:, orders[0]].transpose(2, 0, 1).reshape(-1, size)
    columns = np.ascontiguousarray(y.transpose(1, 2, 0))  # [n, 3, G]
    gain = np.full((num_x, num_y), -np.inf)
    step = max(1, _CHUNK // (num_x * num_y))
    for start in range(0, len(orders), step):
        matched = columns[orders[start : start + step].T].transpose(0, 2, 1, 3)  # [n, 3, A, G]
        covariance = (rows @ matched.reshape(size, -1)).reshape(3, num_x, 3, -1, num_y)
        _raise_to_best(gain, covariance.transpose(0, 2, 3, 1, 4), 0.5 * norms)
    return np.sqrt(np.maximum(norms - 2 * gain, 0) / size)


def pairwise_rmsd(x: NDArray[np.float64], orders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Compute the RMSD of all pairs of conformers ``[R, N, 3]`` once, ``[R, R]``; see :func:`best_rmsd`."""
    rmsd = np.zeros((len(x), len(x)))
    for start in range(0, len(x), _ROWS):
        rmsd[start : start + _ROWS, start:] = best_rmsd(x[start : start + _ROWS], x[start:], orders)
    upper = np.triu(rmsd, 1)
    return upper + upper.T


def _raise_to_best(gain: NDArray[np.float64], h: NDArray[np.float64], upper: NDArray[np.float64]) -> None:
    """Raise ``gain [R, G]`` in place to the largest overlap of the covariances ``h [3, 3, A, R, G]``."""
    if h.shape[2] == 1:
        np.maximum(gain, _overlap(h[:, :, 0]), out=gain)
        return
    bound = _overlap_bound(h, upper)
    i, j = np.nonzero(bound.max(axis=0) > gain)
    k = bound[:, i, j].argmax(axis=0)
    gain[i, j] = np.maximum(gain[i, j], _overlap(h[:, :, k, i, j]))
    bound[k, i, j] = -np.inf
    k, i, j = np.nonzero(bound > gain)
    np.maximum.at(gain, (i, j), _overlap(h[:, :, k, i, j]))


def _overlap(h: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest ``trace(Q^T H)`` over rotations ``Q``, for covariances ``h [3, 3, ...]``."""
    h = np.moveaxis(h, (0, 1), (-2, -1))
    values = np.linalg.svd(h, compute_uv=False)
    return values[..., 0] + values[..., 1] + np.sign(np.linalg.det(h)) * values[..., 2]


def _overlap_bound(h: NDArray[np.float64], upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """A tight upper bound of :func:`_overlap`, from a loose one, ``upper``."""
    (a, b, c), (d, e, f), (g, i, j) = h
    first = e * j - f * i, f * g - d * j, d * i - e * g
    others = c * i - b * j, a * j - c * g, b * g - a * i, b * f - c * e, c * d - a * f, a * e - b * d
    square = sum(value * value for row in h for value in row)
    # The largest root of l^4 + c2 l^2 + c1 l + c0; c0 is lowered by more than its rounding error, to raise the root.
    c2, c1 = -2 * square, -8 * (a * first[0] + b * first[1] + c * first[2])
    c0 = (1 - _ROUNDING) * square * square - 4 * sum(value * value for value in (*first, *others))
    root = start = np.minimum(upper, np.sqrt(3 * square))
    for _ in range(_STEPS):
        value = ((root * root + c2) * root + c1) * root + c0
        slope = 2 * (2 * root * root + c2) * root + c1
        root = root - np.divide(value, slope, out=np.zeros_like(root), where=slope > 0)
    return np.minimum(root, start) * (1 + _SLACK)
