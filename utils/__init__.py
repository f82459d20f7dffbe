"""Everything that would be the same for another algorithm."""
