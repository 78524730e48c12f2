"""One sweep at every tracker at once, and what each of them got, read back: ``python -m tests.tools.mirrors FILE``.

In place of an experiment, a run folder is taken as well: a copy of it is pushed to all of them. Needs openwandb
(``tests/e2e/wandb_server.py`` says how) and mlflow-skinny. Nothing leaves this machine. The exit code is 1 where a
tracker differs from the ledger.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.e2e import wandb_server

from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.tracking.sink_registry import SINKS
from yolosweep.tracking.tensorboard_file import events_in
from yolosweep.tracking.wandb import WandbSink

Points = dict[tuple[str, str, int], float]
"""Trial, name and epoch → value."""

TRACK = "track={wandb: {project: sweeps}, tensorboard: {}, mlflow: {experiment: sweeps}}"
_START_S = 300


def main() -> int:
    """Run the experiment and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yolosweep-mirrors-") as name:
        folder, key = Path(name), secrets.token_hex(20)
        for part in ("server", "home"):
            (folder / part).mkdir()
        server = wandb_server.Server(folder / "server", key)
        try:
            _wait_for(server)
            if asked.experiment.is_dir():
                run = str(shutil.copytree(asked.experiment, folder / "run"))
                shutil.rmtree(folder / "run" / "mirror", ignore_errors=True)
            else:
                run = _run(asked.experiment.resolve(), asked.overrides, folder, server.url, key)
            _push(run, folder, server.url, key)
            return _report(RunFolder.open(run), server, folder / "store")
        finally:
            server.stop()


def _wait_for(server: Any) -> None:
    deadline = time.monotonic() + _START_S
    while not server.ready():
        assert time.monotonic() < deadline, "openwandb does not start"
        time.sleep(0.05)
    server.connect()


def _environment(folder: Path, url: str, key: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "MLFLOW"))}
    store = {"MLFLOW_TRACKING_URI": (folder / "store").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    return {**kept, **store, "MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_BASE_URL": url, "WANDB_API_KEY": key}


def _run(experiment: Path, overrides: list[str], folder: Path, url: str, key: str) -> str:
    command = [sys.executable, "-m", "yolosweep", "run", str(experiment), TRACK, f"storage={folder}", *overrides]
    done = subprocess.run(
        [*command, "--json"], env=_environment(folder, url, key), stdout=subprocess.PIPE, text=True, check=True
    )
    return str(json.loads(done.stdout)["run"])


def _push(run: str, folder: Path, url: str, key: str) -> None:
    """Send what the end of the sweep did not wait for."""
    to = [word for name in SINKS for word in ("--to", name)]
    command = [sys.executable, "-m", "yolosweep", "track", "push", run, *to]
    subprocess.run(command, env=_environment(folder, url, key), check=True)


def _report(folder: RunFolder, server: Any, store: Path) -> int:
    history, console = History.of(folder), Console(width=150)
    truth = dict(_ledger(history))
    got = {
        "W&B": _of_wandb(history, server),
        "TensorBoard": _of_tensorboard(folder, history),
        "MLflow": _of_mlflow(history, store),
    }
    table = Table(title=f"{history.sweep}: {len(history.trials)} trials, {len(truth)} points in the ledger")
    for column in ("tracker", "runs", "points of the ledger", "equal", "missing", "pictures", "model"):
        table.add_column(column, justify="left" if column == "tracker" else "right")
    same = True
    for name, (points, runs, pictures, models) in got.items():
        known = {point: value for point, value in points.items() if point in truth}
        equal = sum(abs(value - truth[point]) <= 1e-6 * max(1.0, abs(value)) for point, value in known.items())
        same &= equal == len(truth)
        counts = (runs, len(known), equal, len(truth) - len(known), pictures, models)
        table.add_row(name, *map(str, counts))
    console.print(table)
    console.print(_sweep_page(history, server))
    return 0 if same else 1


def _ledger(history: History) -> Iterator[tuple[tuple[str, str, int], float]]:
    for name, trial in history.trials.items():
        for row in trial.rows:
            values = {"score": row.score, **row.metrics}
            yield from (((name, key, row.epoch), float(value)) for key, value in values.items() if value is not None)


def _of_wandb(history: History, server: Any) -> tuple[Points, int, int, int]:
    trial_of = {WandbSink().run_id(history.sweep, name): name for name in history.trials}
    rows = server.rows("SELECT run_id, key, step, value FROM metrics")
    points = {
        (trial_of[row["run_id"]], row["key"], row["step"]): row["value"] for row in rows if row["run_id"] in trial_of
    }
    pictures = server.rows("SELECT name FROM files WHERE name LIKE 'media/images/%'")
    models = server.rows("SELECT name FROM artifacts WHERE artifact_type='model'")
    return points, len(server.rows("SELECT run_id FROM runs")), len(pictures), len(models)


def _of_tensorboard(folder: RunFolder, history: History) -> tuple[Points, int, int, int]:
    points: Points = {}
    files = sorted((folder.root / "tensorboard").glob("*/events*"))
    pictures = 0
    for file in files:
        with file.open("rb") as stream:
            for event, _ in events_in(stream):
                for value in event.summary.value:
                    pictures += value.HasField("image")
                    if value.HasField("simple_value"):
                        points[file.parent.name, value.tag, event.step] = value.simple_value
    return points, len(files), pictures, 0


def _of_mlflow(history: History, store: Path) -> tuple[Points, int, int, int]:
    os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store.as_uri())
    experiment = next(one.experiment_id for one in client.search_experiments() if one.name != "Default")
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    points = {
        (name, key, point.step): point.value
        for name, trial in history.trials.items()
        for key in ("score", *(trial.rows[0].metrics if trial.rows else ()))
        for point in client.get_metric_history(runs[name].info.run_id, key.replace("(", "").replace(")", ""))
    }
    files = list((store / experiment / runs[history.sweep].info.run_id / "artifacts").rglob("*.*"))
    return (
        points,
        len(runs),
        sum(file.suffix in (".png", ".jpg") for file in files),
        sum(f.suffix == ".pt" for f in files),
    )


def _sweep_page(history: History, server: Any) -> Table:
    """Return what W&B's sweep page is made of."""
    table = Table(title="the W&B sweep page", show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    (sweep,) = server.sweeps.values()
    config: Mapping[str, Any] = json.loads(sweep["config"])
    table.add_row("sweep", f"{sweep['display_name']} ({sweep['name']}), states {sweep['states']}")
    table.add_row("method, metric", f"{config['method']}, {config['metric']}, controller {config['controller']}")
    table.add_row("parameters", ", ".join(config["parameters"]))
    joined = [
        name for name in history.trials if server.joined.get(WandbSink().run_id(history.sweep, name)) == sweep["name"]
    ]
    table.add_row("runs with its id", ", ".join(joined))
    for name in history.trials:
        run = WandbSink().run_id(history.sweep, name)
        (row,) = server.rows("SELECT display_name, config_json, summary_json FROM runs WHERE run_id=?", run)
        summary, config = json.loads(row["summary_json"]), json.loads(row["config_json"])
        searched = {key: config[key]["value"] for key in history.trials[name].request.asked}
        table.add_row(row["display_name"], f"{summary['ending']}, best_score {summary.get('best_score')}, {searched}")
    summary = server.summaries[WandbSink().run_id(history.sweep, "sweep")]
    shown = {key: value for key, value in summary.items() if not isinstance(value, dict) and not key.startswith("_")}
    table.add_row("summary of the sweep", ", ".join(f"{key}={_short(value)}" for key, value in sorted(shown.items())))
    media = server.rows("SELECT name FROM files WHERE name LIKE 'media/%' ORDER BY name")
    table.add_row("media", ", ".join(row["name"].removeprefix("media/").rsplit("_", 2)[0] for row in media))
    artifacts = server.rows("SELECT DISTINCT name, artifact_type FROM artifacts ORDER BY artifact_type")
    table.add_row("artifacts", ", ".join(f"{row['artifact_type']} {row['name']}" for row in artifacts))
    return table


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:60]


if __name__ == "__main__":
    sys.exit(main())
