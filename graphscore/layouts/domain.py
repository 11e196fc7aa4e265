"""The domain of graph drawings; importing it does not load PyTorch."""

from __future__ import annotations

from graphscore.attributes import Attribute
from graphscore.domains import Domain

WRITTEN = (".graphml", ".gml", ".json", ".csv", ".dot", ".png", ".html")
"""Extensions of what ``graphscore layout`` writes: files of a graph with positions, and pictures."""

LAYOUTS = Domain(
    name="layouts",
    keys=("edge_index", "link"),
    package="graphscore.layouts",
    attributes={
        "link": Attribute("edge", "[E]", "1 for an edge that is drawn, 0 for another pair of nodes"),
        "path": Attribute("edge", "[E, 8]", "features of the graph distance of a pair of nodes"),
    },
    datasets={"rome": "graphscore.layouts.rome:RomeDrawings"},
    recipes={"rome": "graphscore.layouts.recipes:build"},
    transforms={"layout-graph": "graphscore.layouts.transforms:LayoutGraph"},
    derive="graphscore.layouts.inputs:derive",
    derived_from=("x", "y"),
    weights="layout",
    drawing="graphscore.layouts.show:STYLE",
    evaluate="graphscore.layouts.show:evaluate",
    scores={
        "generated.stress": "lowest",
        "generated.crossings": "lowest",
        "generated.edge length variance": "lowest",
        "generated.neighborhood preservation": "highest",
        "generated.angular resolution": "highest",
    },
    report="graphscore.layouts.show:report",
    tables="graphscore.layouts.show:show_drawings",
)
