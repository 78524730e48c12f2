"""Decoded images, shared by all trials of a node."""

from yolosweep.image_cache.cache_folder import usable_memory as usable_memory
