"""Names of joints in motion files, such as ``LeftForeArm``, and the names of the same joints in this library."""

from __future__ import annotations

from collections.abc import Sequence

_SIDED = {
    "UpLeg": "hip",
    "Leg": "knee",
    "Foot": "ankle",
    "ToeBase": "foot",
    "ToeBase_end": "toes",
    "Arm": "shoulder",
    "ForeArm": "elbow",
    "Hand": "wrist",
    "FingerBase": "hand",
    "HandIndex1": "fingers",
    "HandThumb": "thumb",
}
_NAMES = {
    "Hips": "hips",
    "Spine": "spine",
    "Spine1": "chest",
    "Neck": "neck",
    "Neck1": "neck",
    "Head": "head",
    "Head_end": "head_top",
    "LThumb": "left_thumb",
    "RThumb": "right_thumb",
    **{f"Left{theirs}": f"left_{ours}" for theirs, ours in _SIDED.items()},
    **{f"Right{theirs}": f"right_{ours}" for theirs, ours in _SIDED.items()},
}


def known_names(names: Sequence[str]) -> list[str]:
    """Translate the usual names of joints in BVH files; names that are not known are kept.

    If two joints would have one name, the later one keeps its own. A prefix before a colon, as of exported characters,
    is left out.

    Example:
        >>> known_names(["Hips", "mixamorig:LeftForeArm", "Tail2", "right_elbow", "Neck", "Neck1"])
        ['hips', 'left_elbow', 'Tail2', 'right_elbow', 'neck', 'Neck1']
    """
    found: list[str] = []
    for name in names:
        ours = _NAMES.get(name.rpartition(":")[2], name)
        found.append(name if ours in found else ours)
    return found
