"""One check per module; ``diagnosis/table.py`` lists them."""
