"""Plans, weights, and ensembles on disk."""
