"""The ``yolosweep`` command: its commands, its version, and how errors become exit codes."""

from __future__ import annotations

from importlib import import_module
from itertools import zip_longest
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from yolosweep.cli.console import print_json, print_text, show_failure
from yolosweep.errors import Interrupted, UsageError, YolosweepError

__all__ = ["COMMANDS", "app"]

COMMANDS = (
    *(
        "run",
        "plan",
        "simulate",
        "check",
        "split",
        "convert",
        "autolabel",
        "resume",
        "best",
        "export",
        "export_study",
        "show",
        "ls",
        "report",
    ),
    *("diagnose", "explain", "next"),
    *("init", "import_experiment", "sample", "schema", "cluster_commands", "track", "docs"),
)
"""Modules of this package with a ``register(app)``, in the order of the help.

A module is named after its command and imports what the command needs only when it runs, so that ``--help`` is fast.
"""


_OTHERS = {
    **dict.fromkeys(("train", "tune", "fit", "start", "sweep", "search"), "run EXPERIMENT"),
    **dict.fromkeys(("detect", "segment", "classify", "pose", "obb"), "run EXPERIMENT, with task: in that file"),
    **dict.fromkeys(("val", "validate", "verify"), "best RUN"),
    **dict.fromkeys(("predict", "infer"), "best RUN, and then: yolo predict model=RUN/winner/best.pt source=IMAGES"),
    **dict.fromkeys(("status", "list"), "ls"),
    **dict.fromkeys(("sync", "push"), "track push RUN"),
}
"""Commands of other tools → ours."""


_WrongCommandLine: type[Exception] = typer.BadParameter.__mro__[1]
"""What typer raises for any wrong command line: it exports this class under no name."""
_JSON = "yolosweep.json"


def _refuse_unknown_options(command: str, known: set[str], args: list[str]) -> None:
    """Refuse ``--epochs 3``: settings are written as ``train.epochs=3``.

    Raises:
        UsageError: there is an option that means a setting.
    """
    for text, following in zip_longest(args, args[1:], fillvalue=""):
        option, _, value = text.partition("=")
        if option.startswith("--") and option != "--" and not any(one.startswith(option) for one in known):
            from yolosweep.experiment.unknown_keys import explain_unknown

            key = option.removeprefix("--").replace("-", "_")
            meant = explain_unknown([key], None).partition("did you mean ")[2].removesuffix("?")
            if not meant:
                return  # typer says that there is no such option
            value = value or ("VALUE" if following.startswith("-") else following) or "VALUE"
            raise UsageError(f"{command} has no option {option}; settings have no dashes, type: {meant}={value}")


class _Group(TyperGroup):
    """Turns our errors into a message on standard error and an exit code; other exceptions are bugs and propagate.

    With ``--json``, a command that fails prints an object with the error and its exit code on standard output.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Remember whether a command is asked for JSON: also one that its own options make fail."""
        options = args[: args.index("--")] if "--" in args else args
        ctx.meta[_JSON] = "--json" in options
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, and name ours to those who type Ultralytics' or Ray's."""
        if args and args[0] in _OTHERS:
            raise UsageError(f"there is no command {args[0]}; type: yolosweep {_OTHERS[args[0]]}")
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and any(parameter.name == "overrides" for parameter in command.params):
            _refuse_unknown_options(str(name), {option for p in command.get_params(ctx) for option in p.opts}, rest)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        as_json = ctx.meta[_JSON]
        try:
            return super().invoke(ctx)
        except YolosweepError as error:
            show_failure(error, as_json=as_json)
            raise typer.Exit(error.exit_code) from None
        except _WrongCommandLine as error:
            if as_json:
                print_json({"error": str(error), "exit_code": UsageError.exit_code})
            raise
        except KeyboardInterrupt:
            show_failure(Interrupted("interrupted"), as_json=as_json)
            raise typer.Exit(130) from None
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "yolosweep":
                raise
            text = f"this needs {error.name}, which is not installed here; pip install yolosweep (without --no-deps)"
            show_failure(YolosweepError(text), as_json=as_json)
            raise typer.Exit(1) from None
        except OSError as error:
            # A disk that is full, read-only or gone is no bug. Without a file name it may be a closed pipe, on which
            # typer exits silently.
            if error.filename is None:
                raise
            text = f"cannot read or write {error.filename2 or error.filename}: {error.strerror}"
            show_failure(YolosweepError(text), as_json=as_json)
            raise typer.Exit(1) from None


app = typer.Typer(
    name="yolosweep",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Tune YOLO on a Ray cluster: one experiment.yaml in, one verified best.pt out.\n\n"
    "Start with: yolosweep run jobs/experiments/quickstart.yaml",
    epilog="Exit codes: 0 done, 2 usage, 3 experiment file, 4 data, 5 no usable score, 6 cluster, 7 run folder, "
    "8 verification, 130/143 interrupted.",
)


def _version(requested: bool) -> None:
    if requested:
        from yolosweep import __version__

        print_text(f"yolosweep {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Hold the options of the program itself."""


for _name in COMMANDS:
    import_module(f"yolosweep.cli.{_name}").register(app)
