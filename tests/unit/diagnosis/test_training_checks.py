"""The verdict on a training from its curves, and the forms a results.csv comes in."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.diagnosis import all_checks
from yolosweep.diagnosis.all_checks import TRAINING_CHECKS, diagnose_training
from yolosweep.diagnosis.results_csv import training_of
from yolosweep.errors import UsageError

sys.path.insert(0, str(Path(__file__).parent))
from curve_cases import CASES, Case, results_csv
from recorded_curves import RECORDED

sys.path.pop(0)

runner = CliRunner()
HEALTHY = CASES["fine-tuned, 100 epochs"]


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_is_a_careful_readers(name: str) -> None:
    found = diagnose_training(training_of(results_csv(CASES[name])))
    assert found[0].code == CASES[name].label, [diagnosis.sentence for diagnosis in found]
    assert all(diagnosis.evidence for diagnosis in found)


def test_where_no_box_counted_tiny_boxes_are_named_beside_missing_labels() -> None:
    found = diagnose_training(training_of(results_csv(CASES["no labels"])))[0]
    assert "none was found, or all boxes are too small at this imgsz" in found.sentence
    assert [change.key for change in found.changes][:2] == ["data", "train.imgsz"]


def test_the_verdicts_on_recorded_trainings_are_a_careful_readers() -> None:
    """One of 30 is not: three scores that scatter around a slow rise at the end of 12 epochs count as settled."""
    files = {file.stem: file for file in (Path(__file__).parents[2] / "fixtures" / "results_csv").glob("*.csv")}
    assert files.keys() == RECORDED.keys()
    assert len(files) >= 30
    found = {name: diagnose_training(training_of(file.read_text()))[0].code for name, file in files.items()}
    assert {name for name, code in found.items() if code != RECORDED[name]} == {"detect-rare-class-t1"}


def test_there_are_cases_for_every_check_and_generation() -> None:
    assert len(CASES) >= 30
    assert {case.label for case in CASES.values()} == {*TRAINING_CHECKS, "just-right"}
    assert {case.generation for case in CASES.values()} == {"v5", "v8", "11", "26"}
    assert {case.task for case in CASES.values()} == {"detect", "segment", "pose", "classify"}


@pytest.mark.slow
def test_the_scatter_of_other_seeds_rarely_changes_a_verdict() -> None:
    drawn = [
        (case.label, diagnose_training(training_of(results_csv(Case(**{**vars(case), "seed": seed}))))[0].code)
        for case in CASES.values()
        for seed in range(1, 5)
    ]
    assert sum(label != found for label, found in drawn) <= 0.02 * len(drawn)


@pytest.fixture
def module_of_a_new_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "slow_start.py").write_text(
        "from yolosweep.records.diagnosis import Change, Confidence, Diagnosis\n\n\n"
        "def check(training):\n"
        "    if training.plateau_epoch < 0.3 * len(training.rows):\n"
        "        return None\n"
        "    return Diagnosis(\n"
        "        code='slow-start', confidence=Confidence.LOW, sentence='Slow start.',\n"
        "        evidence={'plateau_epoch': training.plateau_epoch},\n"
        "        changes=(Change(key='train.lr0', how='raise the learning rate'),),\n"
        "    )\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_start"
    sys.modules.pop("slow_start", None)


def test_a_new_check_is_one_file_and_its_registration(
    module_of_a_new_check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = __import__(module_of_a_new_check)
    monkeypatch.setitem(all_checks.TRAINING_CHECKS, "slow-start", module.check)
    file = tmp_path / "results.csv"
    file.write_text(results_csv(HEALTHY))
    result = runner.invoke(app, ["diagnose", str(file), "--json"])
    assert json.loads(result.stdout)["verdict"] == "slow-start"
    assert "Slow start. (low confidence)" in runner.invoke(app, ["diagnose", str(file)]).output


def test_it_reads_a_file_or_the_folder_of_a_training(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(results_csv(CASES["interrupted at a third"]))
    (tmp_path / "args.yaml").write_text("epochs: 100\nweight_decay: 0.0005\nmodel: yolo11n.pt\n")
    plain = runner.invoke(app, ["diagnose", str(tmp_path / "results.csv")])
    assert plain.exit_code == 0
    assert "33 epochs, best metrics/mAP50-95(B)" in plain.output
    assert "Still rising" in plain.output
    assert "train.epochs: 100  # train the 100 epochs that were planned" in plain.output
    read = json.loads(runner.invoke(app, ["diagnose", str(tmp_path), "--json"]).stdout)
    assert read["verdict"] == "still-rising"
    assert read["planned_epochs"] == 100
    assert read["diagnoses"][0]["evidence"]["schedule_left"] == pytest.approx(0.67)


WRONG = {
    "empty": ("", "the file is empty"),
    "another table": ("name,age\nx,3\n", "not the header of an Ultralytics results.csv"),
    "only a header": ("epoch,train/loss\n", "has no epoch"),
    "too long": ("epoch,train/loss\n" + "1,1\n" * 20_001, "20002 lines"),
    "a huge cell": ("epoch,train/loss\n1," + "1" * 200_000, "not a table"),
    "binary": (b"\xff\xfe\x00epoch", "not text"),
}


@pytest.mark.parametrize(("content", "told"), WRONG.values(), ids=WRONG)
def test_what_is_no_results_csv_is_refused(content: str | bytes, told: str, tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = runner.invoke(app, ["diagnose", str(file)])
    assert result.exit_code == 2
    assert told in result.output
    assert str(file) in result.output.replace("\n", "")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = runner.invoke(app, ["diagnose", str(tmp_path / "nothing.csv")])
    assert result.exit_code == 2
    assert "there is no such file" in result.output


def lines() -> list[str]:
    return results_csv(HEALTHY).splitlines()


def changed(*edited: str) -> list[float]:
    return list(training_of("\n".join(edited)).score.values)


def test_odd_files_give_the_same_curves() -> None:
    head, *rows = lines()
    plain = changed(head, *rows)
    assert len(plain) == 100
    assert changed("\ufeff" + head, *rows) == plain
    assert changed(head.replace(",", ";"), *(row.replace(",", ";") for row in rows)) == plain
    assert changed(head.replace(",", ";"), *(row.replace(",", ";").replace(".", ",") for row in rows)) == plain
    assert changed(head, *rows[:40], head, *rows[40:]) == plain  # appended to after an interruption
    assert changed(head, *rows[:40], *rows[30:]) == plain  # epochs 31 to 40 were trained again
    assert changed(head, *rows[:99], rows[99][:20]) == plain[:99]  # cut off while it was written
    assert changed(head, *rows[50:], *rows) == plain  # another training was appended
    assert changed(head + ",note", *(row + ",x" for row in rows)) == plain


def test_epochs_are_counted_from_1_whatever_the_file_does() -> None:
    old = training_of(results_csv(CASES["old, counted from 0"]))
    assert [row.epoch for row in old.rows][:2] == [1, 2]
    assert old.score_name == "metrics/mAP50-95(B)"
    assert old.rows[0].metrics.keys() >= {"train/obj_loss", "val/obj_loss", "lr/pg0"}


def test_nan_and_empty_cells_differ() -> None:
    training = training_of(
        "epoch,train/loss,val/loss,metrics/accuracy_top1\n1,nan,,0.5\n2,1.0,0.4,0.6\n3,inf,0.4,0.6\n"
    )
    assert training.nan_epochs == (1, 3)
    assert training.val_loss.epochs == (2, 3)


def test_the_length_of_a_schedule_follows_from_its_learning_rate() -> None:
    def left(name: str) -> float:
        return training_of(results_csv(CASES[name])).schedule_left or 0.0

    assert left("interrupted at a third") == pytest.approx(0.67, abs=0.03)
    assert left("fine-tuned, 100 epochs") == pytest.approx(0.0, abs=0.03)


def test_a_model_name_from_an_untrusted_file_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(results_csv(CASES["settles low"]))
    for model, told in {"yolo11n.pt": "yolo11s.pt", "\\x1b[31myolo11n.pt": "a bigger model"}.items():
        (tmp_path / "args.yaml").write_text(f'model: "{model}"\n')
        output = runner.invoke(app, ["diagnose", str(tmp_path)]).output
        assert told in output
        assert "\x1b" not in output


WORDS = st.sampled_from(["nan", "", "-inf", "x"])
NUMBERS = st.one_of(WORDS, st.floats(-10, 1e9).map(repr), st.floats().map(repr))


@settings(max_examples=150)
@given(rows=st.lists(st.lists(NUMBERS, min_size=1, max_size=6), max_size=30))
@pytest.mark.slow
def test_no_content_breaks_it(rows: list[list[str]]) -> None:
    head = "epoch,train/loss,val/loss,metrics/mAP50(B),metrics/mAP50-95(B),lr/pg0"
    text = "\n".join([head, *(",".join([str(i), *row]) for i, row in enumerate(rows))])
    try:
        training = training_of(text)
    except UsageError as error:
        assert "has no epoch" in str(error)  # noqa: PT017
        return
    for diagnosis in diagnose_training(training):
        assert diagnosis.sentence
