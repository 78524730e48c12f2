"""Resolves a data.yaml or folder to splits, images and labels."""
