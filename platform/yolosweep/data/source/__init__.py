"""From what the user names to a folder on this machine."""
