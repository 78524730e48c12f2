"""Reads every image and label once, in parallel, and caches the results between runs."""
