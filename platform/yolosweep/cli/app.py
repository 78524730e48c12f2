"""The commands. Each imports what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from yolosweep.cli import data_commands, job_commands
from yolosweep.errors import Interrupted, YolosweepError

__all__ = ["app"]

app = typer.Typer(
    name="yolosweep",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Tune YOLO on a Ray cluster: one experiment.yaml in, one verified best.pt out.\n\n"
    "Start with: yolosweep run jobs/experiments/quickstart.yaml",
    epilog="Exit codes: 0 done, 2 usage, 3 experiment file, 4 data, 5 no usable score, 6 cluster, 7 run folder, "
    "8 verification, 130/143 interrupted.",
)
track = typer.Typer(no_args_is_help=True, help="Mirror runs to Weights & Biases.", rich_markup_mode=None)
app.add_typer(track, name="track")

Command = TypeVar("Command", bound=Callable[..., Any])
ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="The experiment file (YAML).")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="Overrides, e.g. search.trials=8 train.epochs=3.")
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or its address (s3://…).")]
AllowCodes = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="CODE", help="Go on although the data have this error; it is recorded and shown."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]


def _told(command: Command) -> Command:
    """Turn our errors into a message on standard error and their exit code; others are bugs and keep their trace.

    A disk that is full, read-only or gone is no bug: where no command says more, the file and the reason are told.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except YolosweepError as error:
            typer.echo(str(error) if isinstance(error, Interrupted) else f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None
        except OSError as error:
            if error.filename is None:  # also a pipe that was closed: typer ends quietly on that
                raise
            place = error.filename2 or error.filename
            typer.echo(f"error: cannot read or write {place}: {error.strerror}", err=True)
            raise typer.Exit(1) from None

    return wrapped  # type: ignore[return-value]


def _version(asked: bool) -> None:
    if asked:
        from yolosweep import __version__

        typer.echo(f"yolosweep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Hold the options of the program itself."""


@app.command()
@_told
def run(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop, as `yolosweep plan`.")] = False,
    allow: AllowCodes = None,
    as_json: AsJson = False,
) -> None:
    """Check the data, search, and hand over one verified best.pt."""
    if dry_run:
        plan(experiment, overrides, allow, as_json)
        return
    from yolosweep.cli.run import run_sweep

    raise typer.Exit(run_sweep(experiment, overrides or [], allow=allow or [], as_json=as_json))


@app.command()
@_told
def resume(
    run_folder: Run,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="Larger budgets, e.g. search.trials=40.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT", help="Go on although this differs: data, versions; or the code of an error in the data."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take up a run that was interrupted, or give it more trials; finished trials are never run again."""
    from yolosweep.cli.run import resume_sweep

    raise typer.Exit(resume_sweep(run_folder, overrides or [], allow=allow or [], as_json=as_json))


@app.command()
@_told
def plan(
    experiment: ExperimentFile, overrides: Overrides = None, allow: AllowCodes = None, as_json: AsJson = False
) -> None:
    """Print what a run would do and cost at most; write nothing."""
    from yolosweep.cli.experiment_checks import check
    from yolosweep.cli.plan import describe_plan, plan_of

    planned = plan_of(check(experiment, overrides or [], fetch=False, allow=allow or []))
    _print(planned, as_json, describe_plan)


@app.command()
@_told
def best(run_folder: Run, as_json: AsJson = False) -> None:
    """Verify the best checkpoint of a run, validate it again, and write the winner/ bundle."""
    from yolosweep.cli.best import describe_winner, select_winner_of, winner_as_json

    folder, winner = select_winner_of(run_folder)
    _print(winner_as_json(folder, winner), as_json, lambda _: describe_winner(folder, winner))


@app.command()
@_told
def show(run_folder: Run, as_json: AsJson = False) -> None:
    """Show the trials of a run: settings, ending, best score, epochs, gain over trial 0."""
    from yolosweep.cli.tables import describe_run
    from yolosweep.ledger import RunFolder
    from yolosweep.ledger.history import History
    from yolosweep.report import summarize

    _print(summarize(History.of(RunFolder.open(run_folder))), as_json, describe_run)


@app.command("ls")
@_told
def list_runs(
    storage: Annotated[str, typer.Argument(help="Folder or address (s3://…) that holds run folders.")] = "runs",
    as_json: AsJson = False,
) -> None:
    """List the runs in a storage folder."""
    from yolosweep.cli.tables import describe_runs, runs_in

    _print(runs_in(storage), as_json, describe_runs)


@app.command()
@_told
def report(run_folder: Run) -> None:
    """Write report.html of a run again, from its ledger."""
    from yolosweep.ledger import RunFolder
    from yolosweep.report import write_report

    typer.echo(str(write_report(RunFolder.open(run_folder))))


@app.command()
@_told
def init(
    data: Annotated[str, typer.Argument(help="A data.yaml, a classify folder, or sample:parking.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("experiment.yaml"),
    task: Annotated[str, typer.Option(help="detect, segment, classify, pose or obb.")] = "detect",
    model: Annotated[str | None, typer.Option(help="Model to start from.")] = None,
) -> None:
    """Write a commented starter experiment for a data set."""
    from yolosweep.cli.init import write_starter

    typer.echo(str(write_starter(data, out=out, task=task, model=model)))


app.command()(_told(data_commands.check))
app.command()(_told(data_commands.split))
app.command()(_told(data_commands.autolabel))
for _command in job_commands.COMMANDS:
    app.command()(_told(_command))


@app.command()
@_told
def sample(
    kind: Annotated[str, typer.Argument(help="Which sample: parking.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 0,
) -> None:
    """Draw a small labelled data set: a parking lot from above, classes red_car and car."""
    from yolosweep.cli.init import write_sample

    typer.echo(str(write_sample(kind, folder, seed=seed)))


@app.command()
@_told
def schema() -> None:
    """Print the JSON Schema of experiment files, for editors."""
    from yolosweep.experiment.json_schema import text

    typer.echo(text(), nl=False)


@track.command("push")
@_told
def track_push(run_folder: Run) -> None:
    """Send what W&B does not have yet; sending twice changes nothing."""
    from yolosweep.cli.track import push_run

    raise typer.Exit(push_run(run_folder))


def _print(value: Any, as_json: bool, describe: Callable[[Any], None]) -> None:
    """Print a value as JSON on standard output, or let its own function print it for people."""
    from yolosweep.cli.console import emit

    emit(value, as_json, describe)
