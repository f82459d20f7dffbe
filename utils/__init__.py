"""Code that does not depend on the algorithm."""
