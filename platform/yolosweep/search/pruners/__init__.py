"""Pruners: which trial to stop."""
