"""Configurations: their schema, keys, components and text."""
