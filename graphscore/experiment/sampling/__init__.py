"""Sampling with a trained model: requests, windows of inputs, pipelines and clusters."""
