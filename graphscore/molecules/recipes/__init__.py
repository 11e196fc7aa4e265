"""Recipes that build the embedded data sets of molecules: lists of molecules, conformer search, audits."""
