"""``search.objectives`` in the experiment file: what is filled in, and what is refused with its fix."""

from pathlib import Path
from typing import Any

import pytest

from yolosweep.errors import ExperimentError
from yolosweep.experiment import Experiment, load_experiment, objectives_line

MAP = "metrics/mAP50-95(B)"


def load(tmp_path: Path, objectives: str, rest: str = "", model: str = "yolo11n.yaml", **more: Any) -> Experiment:
    file = tmp_path / "e.yaml"
    file.write_text(
        f"name: e\nmodel: {model}\ndata: sample:parking\ntrain: {{epochs: 10, optimizer: AdamW}}\n"
        f"search:\n  objectives: {objectives}\n  parameters: {{lr0: {{min: 0.001, max: 0.1}}}}\n{rest}"
    )
    return load_experiment(file, [f"{name}={value}" for name, value in more.items()])


def faults(tmp_path: Path, objectives: str, rest: str = "") -> dict[str, str]:
    with pytest.raises(ExperimentError) as caught:
        load(tmp_path, objectives, rest)
    return {fault.key: fault.message for fault in caught.value.faults}


def test_the_first_objective_ranks_and_the_others_get_their_mode(tmp_path: Path) -> None:
    search = load(tmp_path, f'[{{metric: "{MAP}"}}, {{metric: latency_ms}}]').search
    assert (search.metric, search.mode, search.pruner) == (MAP, "max", "none")
    assert [one.mode for one in search.objectives] == ["max", "min"]
    loss = load(tmp_path, "[{metric: val/box_loss}, {metric: size_mb}]").search
    assert (loss.metric, loss.mode) == ("val/box_loss", "min")


def test_a_resolved_experiment_is_read_again_as_it_was(tmp_path: Path) -> None:
    exp = load(tmp_path, f'[{{metric: "{MAP}"}}, {{metric: latency_ms, limit: 15}}]')
    assert load_experiment(exp) == exp


def test_with_limits_alone_the_soft_pruner_stays(tmp_path: Path) -> None:
    exp = load(tmp_path, f'[{{metric: "{MAP}"}}, {{metric: latency_ms, limit: 15}}]')
    assert exp.search.pruner == "soft"
    assert "with latency_ms <= 15" in str(objectives_line(exp))


@pytest.mark.parametrize(
    ("objectives", "rest", "key", "words"),
    [
        ("[{metric: latency_ms}]", "", "search.objectives[0].metric", "put a metric first"),
        (f'[{{metric: "{MAP}", limit: 1}}]', "", "search.objectives[0].limit", "has no limit"),
        ("[{metric: metrics/mAP}]", "", "search.objectives[0].metric", "did you mean metrics/mAP50"),
        (f'[{{metric: "{MAP}"}}, {{metric: latencyms}}]', "", "search.objectives[1].metric", "did you mean latency_ms"),
        (f'[{{metric: "{MAP}"}}, {{metric: gflops, mode: max}}]', "", "search.objectives[1].mode", "set mode: min"),
        (f'[{{metric: "{MAP}"}}, {{metric: gflops}}, {{metric: gflops}}]', "", "search.objectives[2].metric", "twice"),
        (f'[{{metric: "{MAP}"}}, {{metric: gflops}}]', "  searcher: cmaes\n", "search.searcher", "gp, tpe, nsga2"),
        (f'[{{metric: "{MAP}"}}, {{metric: gflops}}]', "  pruner: soft\n", "search.pruner", "choose none"),
        (f'[{{metric: "{MAP}"}}, {{metric: gflops, limit: 2}}]', "  pruner: asha\n", "search.pruner", "choose soft"),
        (f'[{{metric: "{MAP}"}}, {{metric: gflops}}]', "  metric: metrics/mAP50(B)\n", "search.metric", "remove"),
        (f'[{{metric: "{MAP}"}}]', "  mode: min\n", "search.mode", "remove search.mode"),
        (f'[{{metric: "{MAP}"}}]', "  select: knee\n", "search.select", "second objective"),
        ("[]", "  select: knee\n", "search.select", "not set"),
        (
            f'[{{metric: "{MAP}"}}, {{metric: gflops}}]',
            "  select: knee\n  trials: 60\n  finals: {top: 3, seeds: 3}\n",
            "search.finals",
            "knee",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_fix(
    tmp_path: Path, objectives: str, rest: str, key: str, words: str
) -> None:
    assert words in faults(tmp_path, objectives, rest)[key]


def test_a_knee_has_no_finals_by_default(tmp_path: Path) -> None:
    objectives = f'[{{metric: "{MAP}"}}, {{metric: gflops}}]'
    assert load(tmp_path, objectives, **{"search.trials": 100}).search.finals is not None
    assert load(tmp_path, objectives, **{"search.trials": 100, "search.select": "knee"}).search.finals is None


def test_a_measured_value_is_no_constraint_of_the_space(tmp_path: Path) -> None:
    found = faults(tmp_path, "[]", '  constraints: ["latency_ms <= 15"]\n')
    assert "write it as an objective with a limit: {metric: latency_ms, limit: 15}" in found["search.constraints[0]"]
