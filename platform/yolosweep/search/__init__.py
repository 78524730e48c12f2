"""The search: which settings next, which trial to prune, and the thin adapter to Ray Tune."""
