"""Environments: how they are described, made, checked and changed for the training."""
