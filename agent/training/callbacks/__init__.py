"""What watches a run: logs, the live view, tests beside the training."""
