"""The domain of poses; importing it does not load PyTorch."""

from __future__ import annotations

from graphscore.attributes import Attribute
from graphscore.domains import Domain

POSES = Domain(
    name="poses",
    keys=("joint", "edge_index"),
    package="graphscore.poses",
    weights="poses",
    attributes={
        "joint": Attribute("node", "[N]", "number of the joint's name, 0 for a name that is not known"),
        "parent": Attribute("node", "[N]", "next joint on the way to the root, -1 for the root"),
        "length": Attribute("edge", "[E]", "length of the bone in metres", is_given=True),
        "reach": Attribute("edge", "[E, 2]", "length of the path along the bones in metres, and that of bones, else 0"),
    },
    datasets={"cmu-poses": "graphscore.poses.cmu:CmuPoses"},
    transforms={"pose-graph": "graphscore.poses.transforms:PoseGraph"},
    readers={".bvh": "graphscore.poses.bvh:read_bvh"},
    folder_extensions=(".bvh",),
    pipeline="graphscore.poses.model:PoseModel",
    drawing="graphscore.poses.show:STYLE",
    evaluate="graphscore.poses.metrics:evaluate",
    # Of the 1-NN accuracy, neither end is the best.
    scores={"bone_length_error": "lowest", "recall": "lowest", "precision": "lowest"},
    report="graphscore.poses.show:report",
    tables="graphscore.poses.show:show_poses",
)
