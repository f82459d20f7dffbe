"""Figures, recordings and the report of a run."""
