"""Pictures and pages, one subject per module: loss curves, point clouds, conformers."""
