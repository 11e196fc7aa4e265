"""Chemistry: molecules as graphs, their data, metrics, pages, and conformers by trained models."""
