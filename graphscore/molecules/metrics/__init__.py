"""Metrics of conformers: RMSD, coverage, stereochemistry, geometry, energies, validity."""
