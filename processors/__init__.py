"""Folds from events to view rows, the views they live in, and the loop that runs them."""
