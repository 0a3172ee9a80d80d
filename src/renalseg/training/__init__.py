"""Recipes trained by nnU-Net v2."""
