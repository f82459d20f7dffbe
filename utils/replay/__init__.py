"""Transitions, and the replay that stores them."""
