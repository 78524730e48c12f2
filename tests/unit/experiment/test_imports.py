"""Files of other tools become experiments without a fault, and every difference is a comment."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.errors import ExperimentError, UsageError
from yolosweep.experiment import Experiment, load_experiment
from yolosweep.experiment.imports.file_import import Imported, Overriding, imported
from yolosweep.experiment.imports.wandb_distributions import entry_of
from yolosweep.experiment.search_parameter import Parameter

CLASSIC = """\
program: utils/sweep.py
method: random
metric: {name: metrics/mAP_0.5, goal: maximize}
parameters:
  data: {value: data/pieces.yaml}
  batch_size: {values: [64]}
  epochs: {values: [40]}
  lr0: {distribution: uniform, min: 1e-5, max: 1e-1}
  momentum: {distribution: uniform, min: 0.6, max: 0.98}
  box: {distribution: uniform, min: 0.02, max: 0.2}
  obj: {distribution: uniform, min: 0.2, max: 4.0}
  mosaic: {distribution: uniform, min: 0.0, max: 1.0}
"""
"""As trackers of YOLOv5 ship them: ranges of all hyper-parameters, some of which later releases do not have."""
BAYES = """\
program: train_sweep.py
method: bayes
metric: {goal: maximize, name: metrics/mAP50-95(B)}
parameters:
  batch: {values: [8, 16, 32]}
  epochs: {values: [10, 15, 20]}
  imgsz: {values: [320, 480, 640]}
  lr0: {min: 0.0001, max: 0.01}
  optimizer: {values: [SGD, AdamW], probabilities: [0.3, 0.7]}
early_terminate: {type: hyperband, min_iter: 4, eta: 2, s: 2}
"""
"""As people write them for current releases, around a script that calls YOLO(...).train."""
NESTED = """\
method: bayes
metric: {name: precision, goal: maximize}
name: tuning of a detector
project: insects
run_cap: 12
parameters:
  experiments: {value: detection/insects.yaml}
  models.arch: {values: [yolov5s, yolov5m]}
  optimizers.lr0: {values: [1e-2, 1e-3, 1e-4]}
  optim:
    parameters:
      lrf: {distribution: log_uniform, min: -4.6, max: -2.3}
command: ["${env}", yolo, segment, train, data=insects.yaml, --model, yolo11n-seg.yaml, --epochs=30, "${args}"]
"""
"""As configuration libraries lead to: dotted and nested names, and settings within the command."""
ARGS = """\
{task: detect, mode: train, model: yolo11n.yaml, data: /sets/cells/data.yaml, epochs: 30, batch: -1, imgsz: 320,
 device: '0', name: second, optimizer: auto, seed: 3, lr0: 0.01, mixup: 0.2, time: null, save_dir: runs/second}
"""
TABLE = "fitness,lr0,momentum,close_mosaic\n0.31,0.01,0.937,10\n0.42,0.02,0.9,12\n0.35,0.0087,0.9,8\n"
LINES = "".join(
    json.dumps({"iteration": n, "fitness": fitness, "hyperparameters": {"lr0": lr0, "close_mosaic": 10 + n}}) + "\n"
    for n, (fitness, lr0) in enumerate([(0.31, 0.01), (0.42, 0.02)])
)
EVOLVE = (
    "metrics/mAP_0.5, metrics/mAP_0.5:0.95, val/box_loss, lr0, box\n"
    "0.5, 0.3, 0.1, 0.01, 0.05\n0.4, 0.2, 0.1, 0.02, 0.1\n"
)


def read(folder: Path, name: str, text: str, **overriding: str) -> tuple[Experiment, Imported]:
    """Import a text, and load the result as any experiment."""
    source = folder / name
    source.parent.mkdir(exist_ok=True)
    source.write_text(text)
    made = imported(source, Overriding(**overriding))
    file = folder / "made.yaml"
    file.write_text(made.text)
    return load_experiment(file), made


def comments(made: Imported) -> str:
    return "\n".join(line.strip() for line in made.text.splitlines() if line.strip().startswith("#"))


def test_a_sweep_with_ranges_of_everything(tmp_path: Path) -> None:
    exp, made = read(tmp_path, "classic.yaml", CLASSIC)
    assert (exp.search.searcher, exp.search.metric, exp.search.trials) == ("random", "metrics/mAP50(B)", 20)
    assert set(exp.search.parameters) == {"lr0", "momentum", "box", "mosaic"}
    assert exp.data == str(tmp_path / "data/pieces.yaml")
    assert {key: exp.train[key] for key in ("batch", "epochs", "optimizer")} == {
        "batch": 64,
        "epochs": 40,
        "optimizer": "AdamW",
    }
    said = comments(made)
    for part in ("dropped: program: utils/sweep.py", "dropped: obj: ", "was batch_size", "was metrics/mAP_0.5"):
        assert part in said
    assert "was auto, with which lr0 and momentum would have no effect" in said


def test_a_sweep_with_choices_and_early_termination(tmp_path: Path) -> None:
    exp, made = read(tmp_path, "bayes.yaml", BAYES, data="sample:parking")
    assert (exp.search.searcher, exp.search.pruner, exp.search.reduction_factor) == ("gp", "asha", 2)
    assert (exp.search.grace_epochs, exp.train["epochs"]) == (4, 20)
    assert set(exp.search.parameters) == {"batch", "imgsz", "lr0", "optimizer"}
    said = comments(made)
    for part in ("was searched: 10, 15, 20", "without its probabilities", "early_terminate.s: 2", "was method: bayes"):
        assert part in said
    assert "would have no effect" not in said, "an optimizer is searched"


def test_nested_names_and_what_a_command_passes(tmp_path: Path) -> None:
    exp, made = read(tmp_path, "nested.yaml", NESTED)
    assert (exp.name, exp.task, exp.model) == ("tuning-of-a-detector", "segment", "yolo11n-seg.yaml")
    assert (exp.search.trials, exp.search.metric, exp.train["epochs"]) == (12, "metrics/precision(B)", 30)
    assert set(exp.search.parameters) == {"lr0", "lrf"}
    lrf = exp.search.parameters["lrf"]
    assert lrf.is_log
    assert lrf.corners() == pytest.approx([math.exp(-4.6), math.exp(-2.3)], rel=1e-5)
    assert exp.track.wandb is not None
    assert exp.track.wandb.project == "insects"
    said = comments(made)
    for part in ("dropped: arch: ", "dropped: experiments: ", "data=insects.yaml, model=yolo11n-seg.yaml, epochs=30"):
        assert part in said


def test_a_grid_has_no_number_of_trials(tmp_path: Path) -> None:
    text = "method: grid\nparameters: {lr0: {values: [0.1, 0.01]}, optimizer: {value: SGD}}"
    exp, _ = read(tmp_path, "grid.yaml", text, data="sample:parking")
    assert (exp.search.searcher, exp.search.trials, exp.train["optimizer"]) == ("grid", 2, "SGD")


def test_losses_are_minimized(tmp_path: Path) -> None:
    text = "method: random\nmetric: {name: val/box_loss}\nparameters: {scale: {min: 0.1, max: 0.9}}"
    exp, _ = read(tmp_path, "loss.yaml", text, data="sample:parking")
    assert (exp.search.metric, exp.search.mode) == ("val/box_loss", "min")


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [
        ({"distribution": "log_uniform", "min": math.log(1e-4), "max": math.log(1e-2)}, 1e-4, 1e-2),
        ({"distribution": "q_log_uniform", "min": 0, "max": math.log(8), "q": 2}, 1, 8),
        ({"distribution": "inv_log_uniform", "min": math.log(10), "max": math.log(100)}, 0.01, 0.1),
        ({"distribution": "inv_log_uniform_values", "min": 0.01, "max": 0.1}, 0.01, 0.1),
        ({"distribution": "normal", "mu": 5, "sigma": 2}, 1, 9),
        ({"distribution": "q_normal"}, -2, 2),
        ({"distribution": "log_normal", "mu": math.log(0.01), "sigma": math.log(10) / 2}, 1e-3, 1e-1),
        ({"distribution": "q_log_normal", "mu": math.log(8), "sigma": math.log(2) / 2}, 4, 16),
        ({"distribution": "beta", "a": 2, "b": 5}, 0, 1),
        ({"distribution": "q_beta", "a": 2, "b": 5, "q": 0.25}, 0, 1),
        ({"distribution": "uniform", "min": 0.1, "max": 0.9}, 0.1, 0.9),
        ({"distribution": "q_uniform", "min": 0.1, "max": 0.9}, 0.1, 0.9),
        ({"distribution": "log_uniform_values", "min": "1e-5", "max": 0.9}, 1e-5, 0.9),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 9, "q": 1}, 1, 9),
        ({"distribution": "int_uniform", "min": 1, "max": 9}, 1, 9),
        ({"min": 1, "max": 9}, 1, 9),
    ],
    ids=lambda value: str(value.get("distribution")) if isinstance(value, dict) else None,
)
def test_every_distribution_of_wandb_is_a_range(spec: dict[str, Any], low: float, high: float) -> None:
    entry, changed = entry_of(spec)
    parameter = Parameter.model_validate(entry)
    assert parameter.corners() == pytest.approx([low, high], rel=1e-4)
    same = spec.get("distribution") in (None, entry.get("distribution"))
    assert bool(changed) is not same


def test_single_values_and_weighted_choices() -> None:
    assert entry_of({"value": None}) == ({"value": None}, "")
    assert entry_of({"values": [8, 8, 16]})[0] == {"values": [8, 16]}
    assert entry_of({"min": 3, "max": 3})[0] == {"value": 3}
    weighted = {"distribution": "categorical_w_probabilities", "values": [8, 16], "probabilities": [0.9, 0.1]}
    assert entry_of(weighted) == ({"values": [8, 16]}, "without its probabilities: the searcher learns what works")


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"min": 1},
        {"distribution": "cauchy", "min": 1, "max": 2},
        {"distribution": "log_uniform", "min": 1, "max": 10_000},
        {"distribution": "uniform", "min": [1], "max": 2},
        {"values": []},
    ],
)
def test_what_is_no_parameter_says_why(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"range|distribution|number|values"):
        entry_of(spec)


def test_a_space_of_model_tune(tmp_path: Path) -> None:
    space = {"lr0": [1e-5, 1e-2], "momentum": [0.7, 0.98, 0.3], "optimizer": ["SGD", "AdamW"], "batch": [8, 16, 32]}
    exp, made = read(tmp_path, "space.json", json.dumps(space), data="sample:parking")
    found = exp.search.parameters
    assert found["momentum"].corners() == [0.7, 0.98]
    assert found["batch"].values == [8, 16, 32]
    assert "without the mutation gain 0.3" in comments(made)


@pytest.mark.parametrize(
    ("name", "text", "best"),
    [("tune_results.csv", TABLE, "0.02"), ("tune_results.ndjson", LINES, "0.02"), ("evolve.csv", EVOLVE, "0.01")],
)
def test_results_of_a_tuner_are_searched_again(tmp_path: Path, name: str, text: str, best: str) -> None:
    (tmp_path / "tune").mkdir()
    (tmp_path / "tune" / name).write_text(text)
    made = imported(tmp_path / "tune", Overriding(data="sample:parking"))
    (tmp_path / "made.yaml").write_text(made.text)
    exp = load_experiment(tmp_path / "made.yaml")
    assert exp.name == "tune"
    assert exp.search.parameters["lr0"].corners() == [1e-5, 0.02], "widened to what was tried"
    assert f": {best}\n" in made.text
    if "close_mosaic" in exp.search.parameters:
        assert exp.search.parameters["close_mosaic"].kind == "int"
    assert imported(tmp_path / "tune" / name, Overriding(data="sample:parking")).remarks == made.remarks


def test_the_best_settings_alone(tmp_path: Path) -> None:
    text = "# 2/2 iterations complete\n\nlr0: 0.0123\nbox: 7.5\nclose_mosaic: 10\n"
    exp, made = read(tmp_path, "best_hyperparameters.yaml", text, data="sample:parking")
    assert set(exp.search.parameters) == {"lr0", "box", "close_mosaic"}
    assert "best iteration: 0.0123" in comments(made)


def test_the_arguments_of_a_training_stay(tmp_path: Path) -> None:
    exp, made = read(tmp_path, "second/args.yaml", ARGS)
    assert (exp.name, exp.model, exp.seed, exp.data) == ("second", "yolo11n.yaml", 3, "/sets/cells/data.yaml")
    assert {key: exp.train[key] for key in ("epochs", "imgsz", "mixup")} == {"epochs": 30, "imgsz": 320, "mixup": 0.2}
    assert "mixup" not in exp.search.parameters
    said = comments(made)
    assert "dropped: device: 0: Ray assigns devices" in said
    assert exp.train["batch"] == -1, "AutoBatch runs before the search"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", BAYES, "names no data set; add --data"),
        ("a.yaml", "model: a.pt\nsearch: {}", "is an experiment already"),
        ("a.yaml", "just: text", "is not a W&B sweep, a space or results"),
        ("a.yaml", "[1, 2]", "is not a W&B sweep"),
        ("a.yaml", "a: [", "cannot read"),
        ("a.csv", "fitness,lr0\n0.1\n", "more or fewer cells"),
        ("a.csv", "fitness,lr0\n0.1,x\n", "is not a table of a tuner"),
        ("a.csv", "fitness,lr0\n", "no iteration"),
        ("a.ndjson", "{}\n", "no hyperparameters"),
    ],
)
def test_what_cannot_be_imported_is_said(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        imported(tmp_path / name, Overriding())


def test_a_sweep_with_nothing_to_search_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("method: random\nparameters: {nonsense: {min: 0.0, max: 1.0}}")
    with pytest.raises(ExperimentError, match=r"search\.parameters"):
        imported(tmp_path / "a.yaml", Overriding(data="sample:parking"))


def test_text_of_a_file_stays_within_its_comments(tmp_path: Path) -> None:
    text = 'method: random\nprogram: "x\\n\\nstorage: /etc"\nparameters: {scale: {min: 0.1, max: 0.9}}'
    _, made = read(tmp_path, "a.yaml", text, data="sample:parking")
    assert "storage" not in YAML(typ="safe", pure=True).load(made.text)


@pytest.mark.slow
def test_the_command_writes_an_experiment_that_can_be_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with the rules of the library and of the data: 400 drawn images hold no polygon to copy and paste."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(f"{BAYES}  \n".replace("  lr0:", "  copy_paste: {min: 0.0, max: 1.0}\n  lr0:"))
    runner = CliRunner()
    done = runner.invoke(app, ["import", "sweep.yaml", "--data", "sample:parking", "--model", "yolo11n.yaml", "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["file"], answer["kind"]) == ("experiment.yaml", "W&B sweep")
    assert any(one["text"].startswith("dropped: copy_paste") for one in answer["remarks"])
    planned = runner.invoke(app, ["plan", "experiment.yaml", "--json"])
    assert planned.exit_code == 0, planned.output
    again = runner.invoke(app, ["import", "sweep.yaml", "--data", "sample:parking"])
    assert (again.exit_code, "not overwritten" in again.stderr) == (2, True)


_WORDS = st.sampled_from(["", "1e-3", "auto", "${x}", "yolo11n.pt"])
_ODD = st.one_of(st.none(), st.booleans(), st.integers(-5, 500), st.floats(), _WORDS)
_ENTRY = st.dictionaries(
    st.sampled_from(["value", "values", "min", "max", "mu", "sigma", "q", "distribution", "parameters"]),
    st.one_of(_ODD, st.lists(_ODD, max_size=3), st.sampled_from(["log_uniform", "normal", "beta", "uniform", "x"])),
    max_size=4,
)
_NAMES = st.sampled_from(
    ["lr0", "model", "data", "epochs", "batch_size", "a.b", "optimizer", "imgsz", "mosaic", "task", "seed"]
)
_FILE = st.dictionaries(
    st.sampled_from(["method", "metric", "run_cap", "early_terminate", "command", "name", "model", "lr0", "epochs"]),
    st.one_of(_ODD, _ENTRY, st.lists(_ODD, max_size=3)),
    max_size=4,
)


@settings(max_examples=60)
@given(content=_FILE, parameters=st.none() | st.dictionaries(_NAMES, _ENTRY | _ODD, max_size=3))
def test_any_file_is_an_experiment_or_refused(
    content: dict[str, Any], parameters: dict[str, Any] | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = tmp_path_factory.mktemp("any") / "any.json"
    source.write_text(json.dumps({**content, **({} if parameters is None else {"parameters": parameters})}))
    try:
        made = imported(source, Overriding(data="sample:parking"))
    except (UsageError, ExperimentError):
        return
    source.with_name("made.yaml").write_text(made.text)
    load_experiment(source.with_name("made.yaml"))
