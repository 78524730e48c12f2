"""Images, labels and findings as values."""
