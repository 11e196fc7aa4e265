"""Recipes that make the data sets of molecules anew: lists, conformer search, audits."""
