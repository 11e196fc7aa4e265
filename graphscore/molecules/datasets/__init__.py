"""Data sets of molecules: two that come with the package, and loaders of GEOM, QM9 and rMD17."""
