"""Experiments: configurations, runs in folders, trained models from files, demos."""
