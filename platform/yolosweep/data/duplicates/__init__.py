"""Near-duplicates, sequences, and leaks between splits."""
