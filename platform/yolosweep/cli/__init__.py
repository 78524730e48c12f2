"""The command line: one file per command. It wires, prints and sets exit codes; it contains no domain rules."""


def main() -> None:
    """Run the ``yolosweep`` command."""
    from yolosweep.cli.app import app

    app(prog_name="yolosweep")
