"""Graph drawing: node positions of given graphs by a learned score, their metrics, data and pictures."""
