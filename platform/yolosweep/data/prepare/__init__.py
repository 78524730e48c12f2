"""The prepared view that trials train on, and splits."""
