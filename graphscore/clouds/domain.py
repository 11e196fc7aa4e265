"""The domain of point clouds; importing it does not load PyTorch."""

from __future__ import annotations

from graphscore.attributes import Attribute
from graphscore.domains import Domain

MESHES = (".off", ".obj", ".ply", ".stl")

CLOUDS = Domain(
    name="clouds",
    keys=("pos",),
    package="graphscore.clouds",
    attributes={"category": Attribute("graph", "[B]", "category of a household object, see the data set household")},
    datasets={
        "digits": "graphscore.clouds.digits:Digits",
        "bodies": "graphscore.clouds.surfaces:Bodies",
        "household": "graphscore.clouds.surfaces:Household",
    },
    readers=dict.fromkeys(MESHES, "graphscore.clouds.meshes:read_mesh"),
    folder_extensions=MESHES,
    drawing="graphscore.clouds.show:STYLE",
    evaluate="graphscore.clouds.metrics:evaluate",
    # Recall and precision are distances; of the 1-NN accuracy, neither end is the best.
    scores={"recall": "lowest", "precision": "lowest", "coverage": "highest", "occupancy_divergence": "lowest"},
    report="graphscore.clouds.show:report",
    tables="graphscore.clouds.show:show_clouds",
)
