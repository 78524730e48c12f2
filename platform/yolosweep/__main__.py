"""``python -m yolosweep``: the same as the ``yolosweep`` command."""

from yolosweep.cli import main

main()
