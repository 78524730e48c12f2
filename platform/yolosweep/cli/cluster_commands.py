"""Commands for clusters and their jobs. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolosweep.cli.console import emit, print_json, print_text
from yolosweep.cli.options import AsJson

__all__ = ["COMMANDS", "doctor", "follow", "jobs", "leave", "node", "register", "stop", "submit", "token"]

Address = Annotated[
    str,
    typer.Option(
        envvar="RAY_API_SERVER_ADDRESS",
        metavar="URL",
        help="Address of the cluster's dashboard, e.g. http://head:8265.",
    ),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id; `yolosweep jobs` lists them.")]
_HERE = "http://127.0.0.1:8265"
_STDERR = 2


def submit(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="EXPERIMENT [KEY=VALUE...]", help="The experiment file (YAML), and overrides."),
    ] = None,
    address: Address = _HERE,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Resume this run folder, given as the nodes see it, in a job.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Print the job's log until it ends.")] = True,
    again: Annotated[bool, typer.Option("--again", help="Submit it again although it has ended.")] = False,
    data_on_nodes: Annotated[
        bool,
        typer.Option("--data-on-nodes", help="Do not send data and model: the nodes have them under the same paths."),
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="As for run and resume; versions: accept other package versions there."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a sweep as a job on a Ray cluster. Submitting it again attaches to the running job."""
    from yolosweep.cli.job_submission import submit_resume, submit_sweep
    from yolosweep.errors import UsageError

    given, codes = words or [], allow or []
    if resume is not None:
        code = submit_resume(resume, given, address=address, allow=codes, follow=follow, as_json=as_json)
    elif not given:
        raise UsageError("pass an experiment file, or a run folder with --resume")
    else:
        code = submit_sweep(
            Path(given[0]), given[1:], address=address, allow=codes, data_on_nodes=data_on_nodes, again=again,
            follow=follow, as_json=as_json,
        )  # fmt: skip
    raise typer.Exit(code)


def jobs(address: Address = _HERE, as_json: AsJson = False) -> None:
    """List the jobs of a cluster."""
    from yolosweep.cli.job_submission import describe_jobs, list_jobs

    emit(list_jobs(address), as_json, describe_jobs)


def follow(job: JobId, address: Address = _HERE, as_json: AsJson = False) -> None:
    """Print a job's log from its first line until it ends. The exit code is the sweep's."""
    from yolosweep.cli.job_submission import follow_job

    raise typer.Exit(follow_job(job, address=address, as_json=as_json))


def stop(job: JobId, address: Address = _HERE, as_json: AsJson = False) -> None:
    """Stop a job and keep all results; the sweep can be resumed."""
    from yolosweep.cli.job_submission import stop_job

    stop_job(job, address=address, as_json=as_json)


def doctor(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPERIMENT] [KEY=VALUE...]", help="Also check this experiment's storage and data."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="http://head:8265 (runs as a job) or head:6379. Default: RAY_ADDRESS, else this machine.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every node of a cluster and print a table of problems with their fixes. Runs no trials."""
    given = words or []
    source = Path(given[0]) if given else None
    if address is not None and "://" in address:
        from yolosweep.cli.job_submission import submit_doctor

        raise typer.Exit(submit_doctor(source, given[1:], address=address, as_json=as_json))
    from yolosweep.cli.doctor import examine_cluster

    raise typer.Exit(examine_cluster(source, given[1:], address=address, as_json=as_json))


def token(
    out: Annotated[Path | None, typer.Option(help="The new file. Default: ~/.ray/auth_token, where Ray looks.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a token that locks a Ray cluster, in a file that only you can read. It is never printed."""
    import os

    from yolosweep.cluster.tokens import default_path, write_token

    path = (out or default_path(os.environ)).absolute()
    write_token(path)
    if as_json:
        print_json({"file": str(path)})
        return
    print_text(
        f"{path}\ncopy this file to every node, and set there and here:\n"
        f"export RAY_AUTH_MODE=token\nexport RAY_AUTH_TOKEN_PATH={path}\n"
    )


Grace = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for trials to checkpoint.")]


def node(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="`-- ray start … --block`.")],
    grace: Grace = 25.0,
    cloud: Annotated[
        str | None, typer.Option(metavar="CLOUD", help="aws or gcp: also react to the cloud's spot preemption notice.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a Ray node. On SIGTERM or a spot preemption notice, its trials checkpoint before it shuts down."""
    from yolosweep.cli.terminal_listener import ConsoleListener
    from yolosweep.workflows.ray_node import run_node

    code = run_node(command, ConsoleListener(), grace_s=grace, cloud=cloud, output=_STDERR if as_json else None)
    if as_json:
        print_json({"exit_code": code})
    raise typer.Exit(code)


def leave(grace: Grace = 25.0, as_json: AsJson = False) -> None:
    """Drain this node before it shuts down: its trials checkpoint here and continue on other nodes."""
    from yolosweep.cli.terminal_listener import ConsoleListener
    from yolosweep.workflows.ray_node import leave_node

    leave_node(ConsoleListener(), grace_s=grace)
    if as_json:
        print_json({"drained": True})


COMMANDS = (submit, jobs, follow, stop, doctor, token, node, leave)
"""The commands, in the order of the help."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in COMMANDS:
        app.command()(command)
