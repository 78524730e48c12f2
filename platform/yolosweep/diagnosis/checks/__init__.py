"""One check per module; ``diagnosis/all_checks.py`` lists them."""
