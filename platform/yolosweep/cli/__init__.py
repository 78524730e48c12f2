"""The command line: wiring, printing and exit codes. No rule of the field lives here."""


def main() -> None:
    """Run the ``yolosweep`` command."""
    from yolosweep.cli.app import app

    app(prog_name="yolosweep")
