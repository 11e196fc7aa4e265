"""The domain of point clouds; importing it does not load PyTorch."""

from __future__ import annotations

from graphscore.attributes import Attribute
from graphscore.domains import Domain

MESHES = (".off", ".obj", ".ply", ".stl")
POINTS = (".points", ".pts")
HDF5 = (".h5", ".hdf5")

CLOUDS = Domain(
    name="clouds",
    keys=("pos",),
    package="graphscore.clouds",
    attributes={"category": Attribute("graph", "[B]", "number of the class of a shape, see the data set household")},
    datasets={
        "shape-folders": "graphscore.clouds.folders:ShapeFolders",
        "digits": "graphscore.clouds.digits:Digits",
        "bodies": "graphscore.clouds.surfaces:Bodies",
        "household": "graphscore.clouds.surfaces:Household",
    },
    readers={
        **dict.fromkeys(MESHES, "graphscore.clouds.meshes:read_mesh"),
        **dict.fromkeys(POINTS, "graphscore.clouds.points:read_points"),
        **dict.fromkeys(HDF5, "graphscore.clouds.points:read_h5"),
    },
    guess="graphscore.clouds.points:guess",
    shared=dict.fromkeys((".xyz", ".csv", ".tsv", ".txt"), ".points"),
    formats={
        ".ply": ("graphscore.clouds.ply:record", "graphscore.clouds.ply:save"),
        ".ply.zip": ("graphscore.clouds.ply:record", "graphscore.clouds.ply:save_zip"),
    },
    single=(".ply",),
    layout_of="graphscore.clouds.folders:layout_of",
    folder_extensions=(*MESHES, *POINTS, *HDF5),
    drawing="graphscore.clouds.show:STYLE",
    evaluate="graphscore.clouds.metrics:evaluate",
    # Recall and precision are distances; of the 1-NN accuracy, neither end is the best.
    scores={"recall": "lowest", "precision": "lowest", "coverage": "highest", "occupancy_divergence": "lowest"},
    report="graphscore.clouds.show:report",
    tables="graphscore.clouds.show:show_clouds",
)
