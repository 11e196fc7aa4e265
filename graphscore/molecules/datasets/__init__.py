"""Data sets of molecules: files that come with the package, and loaders of published ones."""
