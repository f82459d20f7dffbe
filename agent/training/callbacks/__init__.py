"""Callbacks of a run: logs, the live view, and tests during the training."""
