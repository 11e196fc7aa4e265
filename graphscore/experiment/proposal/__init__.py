"""Proposals of configurations for a user's data."""
