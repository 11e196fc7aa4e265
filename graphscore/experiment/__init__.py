"""Experiments: configurations, training runs, model files, sampling pipelines and demos."""
