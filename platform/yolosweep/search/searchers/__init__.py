"""Searchers: what to try next."""
