"""Decoded images, shared by all trials of a node."""
