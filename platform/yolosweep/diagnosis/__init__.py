"""What curves of scores say: pure functions, no files."""
