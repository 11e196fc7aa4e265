"""The domain of point clouds; importing it does not load PyTorch."""

from __future__ import annotations

from graphscore.domains import Domain

MESHES = (".off", ".obj", ".ply", ".stl")

CLOUDS = Domain(
    name="clouds",
    keys=("pos",),
    package="graphscore.clouds",
    datasets={"digits": "graphscore.clouds.digits:Digits"},
    readers=dict.fromkeys(MESHES, "graphscore.clouds.meshes:read_mesh"),
    folder_extensions=MESHES,
    drawing="graphscore.clouds.show:STYLE",
    evaluate="graphscore.clouds.metrics:evaluate",
    # Recall and precision are distances; of the 1-NN accuracy, neither end is the best.
    scores={"recall": "lowest", "precision": "lowest", "coverage": "highest", "occupancy_divergence": "lowest"},
    report="graphscore.clouds.show:report",
    tables="graphscore.clouds.show:show_clouds",
)
