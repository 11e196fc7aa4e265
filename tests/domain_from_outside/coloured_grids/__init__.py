"""A domain from outside the library: grids of cells whose colours alternate like a chessboard's."""

from graphscore.attributes import Attribute
from graphscore.domains import Domain

GRIDS = Domain(
    name="grids",
    keys=("cell",),
    package="coloured_grids",
    attributes={
        "cell": Attribute("node", "[N]", "number of the cell, row by row"),
        "colour": Attribute("node", "[N, 1]", "1 black, -1 white"),
    },
    datasets={"coloured-grids": "coloured_grids.data:ColouredGrids"},
    writers={".txt": "coloured_grids.show:record"},
    viewers={".png": "coloured_grids.show:view"},
    accept="coloured_grids.metrics:has_both_colours",
    evaluate="coloured_grids.metrics:evaluate",
    scores={"alternation": "highest"},
    report="coloured_grids.show:report",
)
