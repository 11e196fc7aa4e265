"""Evaluation: scores with intervals, tables, pictures and reports."""
