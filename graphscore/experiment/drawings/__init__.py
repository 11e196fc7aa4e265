"""Pictures and animated pages of graphs with positions: nodes and edges, in the plane or in space."""
