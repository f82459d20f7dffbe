"""Learning curves: test scores and training returns of runs."""
