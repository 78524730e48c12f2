"""The data checks: every check, its findings, and waivers."""
