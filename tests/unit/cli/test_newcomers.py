"""What people type who know Ultralytics, Ray or W&B: one line with the mistake and the command to type."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.errors import ClusterError
from yolosweep.experiment.schema import Resources
from yolosweep.runtime.trial_resources import allot

FILES = {
    "data.yaml": "train: images/train\nval: images/val\nnames: [a]\n",
    "cfg.yaml": "mode: train\nmodel: yolo11n.pt\ndata: coco8.yaml\nepochs: 9\n",
    "args.yaml": "model: yolo11n.pt\ndata: coco8.yaml\nepochs: 9\nbatch: 4\nlr0: 0.1\n",
    "sweep.yaml": "program: train.py\nmethod: bayes\nparameters: {lr0: {min: 0.1, max: 0.2}}\n",
    "ok.yaml": (
        "name: demo\nmodel: yolo26n.yaml\ndata: data.yaml\ntrain: {optimizer: SGD}\n"
        "search: {parameters: {box: {min: 1.0, max: 9.0}}}\n"
    ),
    "top.yaml": (
        "name: demo\nmodel: yolo26n.yaml\ndata: data.yaml\nepochs: 50\n"
        "search: {parameters: {box: {min: 1.0, max: 9.0}}}\n"
    ),
    "best.pt": "weights",
}

TYPED = [
    ("run data.yaml", "is a data set, not an experiment: yolosweep init data.yaml"),
    ("run cfg.yaml", "holds settings of Ultralytics, not an experiment: yolosweep import cfg.yaml"),
    ("run args.yaml", "holds settings of Ultralytics, not an experiment: yolosweep import args.yaml"),
    ("run sweep.yaml", "is a sweep of W&B, not an experiment: yolosweep import sweep.yaml"),
    ("run top.yaml", "epochs (line 4): unknown key; did you mean train.epochs?"),
    ("run ok.yaml lr0=0.01", "did you mean train.lr0?; type train.lr0=0.01"),
    ("run ok.yaml track.wandb.mode=offline", "type WANDB_MODE=offline before yolosweep"),
    ("run ok.yaml --epochs 3", "run has no option --epochs; settings have no dashes, type: train.epochs=3"),
    ("plan ok.yaml --lr0=0.1 --json", "type: train.lr0=0.1"),
    ("run ok.yaml --imgsz --json", "run has no option --imgsz; settings have no dashes, type: train.imgsz=VALUE"),
    ("run .", "is a folder, not an experiment; of a data set: yolosweep init ."),
    ("run best.pt", "is a model, not an experiment: yolosweep init DATA, and write model: best.pt there"),
    ("run model=yolo11n.pt data=data.yaml", "the experiment comes first, as in yolosweep run experiment.yaml"),
    ("train data=data.yaml", "there is no command train; type: yolosweep run EXPERIMENT"),
    ("detect train data=data.yaml", "there is no command detect; type: yolosweep run EXPERIMENT"),
    ("predict best.pt", "there is no command predict; type: yolosweep best RUN"),
]


@pytest.mark.parametrize(("typed", "answer"), TYPED, ids=[typed for typed, _ in TYPED])
def test_a_newcomer_reads_what_to_type(
    typed: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, typed.split())
    assert result.exit_code in (2, 3)
    assert answer in " ".join(result.output.split())


def test_options_are_still_options() -> None:
    result = CliRunner().invoke(app, ["run"])
    assert "Missing argument" in result.output


def test_gpus_on_a_machine_without_any_name_the_cpu() -> None:
    with pytest.raises(ClusterError, match=r"no GPU is found: set resources\.gpus_per_trial=0"):
        allot(Resources(gpus_per_trial=8), [{"CPU": 2.0}], 4)
