"""The data gate: every check, its findings, and waivers."""
