"""The Python API with a real Ray: inside an application's own session, and in a notebook."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import yolosweep

pytestmark = pytest.mark.slow

APPLICATION = """
import json, logging, os, signal, sys, threading, time
import ray
import threadpoolctl  # sets a variable of its own when it is imported
import yolosweep

EXPERIMENT = {
    "name": "lot", "model": "toy/red", "data": "sample:parking", "train": {"epochs": 3},
    "search": {"trials": 2, "pruner": "none", "parameters": {"lr0": {"min": 0.001, "max": 0.1}}},
    "resources": {"gpus_per_trial": 0, "cpus_per_trial": 1},
}


@ray.remote(num_cpus=0)
class Mine:
    def pid(self):
        return os.getpid()


def handler(number, frame):
    raise AssertionError("no signal was sent")


def process():
    loggers = [logging.getLogger(name) for name in (None, "ray", "ray.tune", "yolosweep")]
    signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return [(one.level, one.propagate, list(one.handlers)) for one in loggers], signals, dict(os.environ)


class Interrupting(yolosweep.LogListener):
    \"\"\"Presses Ctrl-C when the first trial has ended.\"\"\"

    def event(self, event):
        if event.event == "trial_ended" and event.record.number == 0:
            os.kill(os.getpid(), signal.SIGINT)


def main():
    signal.signal(signal.SIGTERM, handler)
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="WARNING", log_to_driver=False)
    mine = Mine.remote()
    pid, cpus, before = ray.get(mine.pid.remote()), ray.available_resources()["CPU"], process()
    told = {}

    sweep = yolosweep.run(EXPERIMENT)
    told["first"] = [list(sweep.trials.index), sweep.summary.status, sweep.best.weights.is_file()]
    assert process() == before

    thread = threading.Thread(target=lambda: told.update(thread=len(sweep.resume("search.trials=3").trials)))
    thread.start()
    thread.join()
    assert process() == before

    try:
        yolosweep.run(EXPERIMENT, search__trials=60, listener=Interrupting())
    except yolosweep.errors.Interrupted as error:
        told["interrupted"] = str(error)
    assert process() == before

    deadline = time.monotonic() + 300
    while ray.available_resources().get("CPU", 0) < cpus and time.monotonic() < deadline:
        time.sleep(0.1)
    told["cpus"] = ray.available_resources()["CPU"] == cpus
    told["mine"] = ray.get(mine.pid.remote()) == pid
    while (actors := ray.util.list_named_actors(all_namespaces=True)) and time.monotonic() < deadline:
        time.sleep(0.1)
    told["actors"] = [one["name"] for one in actors]
    ray.shutdown()
    told["trackers"] = sorted({"wandb", "mlflow"} & set(sys.modules))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
"""


def test_a_session_of_an_application_survives(shell: Any, tmp_path: Path) -> None:
    """Sweeps in its main thread, in another thread and one that is interrupted leave the process as it was."""
    (tmp_path / "application.py").write_text(APPLICATION)
    process = subprocess.Popen(
        [sys.executable, "application.py"],
        cwd=tmp_path, env=shell.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    shell.processes.append(process)
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, out + err
    told = json.loads(out)
    assert told["first"] == [["t0000", "t0001"], "finished", True]
    assert told["thread"] == 3
    assert "stopped on request; all results are kept; to go on: yolosweep resume" in told["interrupted"]
    assert told["cpus"], "the sweeps still hold CPUs"
    assert told["mine"], "the application's actor is gone"
    assert told["actors"] == [], "the controllers are still there"
    assert told["trackers"] == [], "clients of trackers were imported, which takes a second"


def test_the_notebook_runs(shell: Any, repository: Path, tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(repository / "jobs" / "notebook.ipynb", as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=shell.environment())
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    printed = [output for of_cell in outputs for output in of_cell if output.output_type == "stream"]
    assert printed == [], "the API prints"
    results = [of_cell[-1].data for of_cell in outputs if of_cell]
    assert "<th>accuracy_top1</th>" in results[2]["text/html"]
    assert "best_score" in results[3]["text/html"]
    assert "best.pt" in results[4]["text/plain"]
    (run,) = (tmp_path / "runs").iterdir()
    assert results[5]["text/plain"] == repr(yolosweep.open(run).summary.verdict)
