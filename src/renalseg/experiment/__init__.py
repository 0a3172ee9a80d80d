"""Recipes times folds, and the paper's tables."""
