"""Transitions, and the replay that keeps them."""
