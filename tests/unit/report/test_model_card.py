"""The model card: metadata that Hugging Face reads, scores of the verdict, and texts of a run that stay texts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from yolosweep.ledger.history import History
from yolosweep.records import Ending, EpochResult, FileRef, TrialRecord, TrialRequest, Validation
from yolosweep.records.events import (
    EpochRecorded,
    PairedError,
    Reference,
    SweepStarted,
    TrialEnded,
    TrialStarted,
    Winner,
)
from yolosweep.report.model_card import model_card

METRIC = "metrics/mAP50-95(B)"
HOSTILE = (
    "a|b",
    "line\n# heading\n\n- item",
    "<script>alert(1)</script>",
    "![x](http://evil/x.png)",
    "`code`",
    "---\nlicense: mit\n---",
    "*bold* __bold__ ~~gone~~",
    "\u202eturned\x1b[31m",
)


def sweep(*, model: str = "yolo11n.yaml", name: str = "lot", labels: tuple[str, ...] = ("car", "van")) -> History:
    history = History()
    experiment = {
        "name": name, "task": "detect", "model": model, "seed": 0, "train": {},
        "search": {"metric": METRIC, "mode": "max", "parameters": {"lr0": {}}},
    }  # fmt: skip
    dataset: Any = {
        "task": "detect", "source": "/home/anna/sets/lot/data.yaml", "train_on": "/r/data.yaml",
        "names": dict(enumerate(labels)), "images": {"train": 900, "val": 400, "test": 400},
        "instances": {"val": {0: 20, 1: 4}}, "fingerprint": "f" * 64, "leaks": {"val": 0.125},
    }  # fmt: skip
    history.add(SweepStarted(sweep="lot-1", experiment=experiment, dataset=dataset, versions={"torch": "2"}))
    for number, score in enumerate((0.5, 0.7)):
        trial = f"t{number:04d}"
        request = TrialRequest(
            sweep="lot-1", trial=trial, number=number, task="detect", model=model, data="d", settings={},
            asked={"lr0": 0.01 * (number + 1)}, identity=f"i{number}", metric=METRIC, folder="/r",
        )  # fmt: skip
        row = EpochResult(
            epoch=1, metrics={METRIC: score}, score=score, best_score=score, best_epoch=1, epochs_without_gain=0,
            seconds=1, images_per_s=1,
        )  # fmt: skip
        history.add(TrialStarted(request=request))
        history.add(EpochRecorded(trial=trial, row=row))
        record = TrialRecord(
            trial=trial, number=number, ending=Ending.FINISHED, reason="", asked=request.asked, used=request.asked,
            score=score, files={},
        )  # fmt: skip
        history.add(TrialEnded(record=record))
    return history


def winner_of(*labels: str, model: str = "yolo11n.yaml", caveats: tuple[str, ...] = ()) -> Winner:
    def scored(split: str, score: float) -> Validation:
        return Validation(
            split=split, metrics={METRIC: score, "fitness": 1.0}, per_class={label: {METRIC: score} for label in labels}
        )

    error = PairedError(images=400, resamples=200, error=0.01)
    return Winner(
        trial="t0001", score=0.7, metric=METRIC, caveats=caveats, model=model, identity="i1", data_fingerprint="f" * 64,
        validations={"val": scored("val", 0.7), "test": scored("test", 0.68)},
        reference=Reference(
            trial="t0000", validations={"val": scored("val", 0.5), "test": scored("test", 0.49)},
            errors={"val": error, "test": error},
        ),
        file=FileRef(path="winner/best.pt", sha256="a" * 64, size=1), settings={"lr0": 0.02, "imgsz": 96},
        versions={"torch": "2"},
    )  # fmt: skip


def front_matter(card: str) -> Any:
    _, head, _ = card.split("---\n", 2)
    return YAML(typ="safe", pure=True).load(head)


def test_its_front_matter_is_what_hugging_face_reads() -> None:
    about = front_matter(model_card(sweep(), winner_of("car", "van"), {}))
    assert (about["library_name"], about["pipeline_tag"]) == ("ultralytics", "object-detection")
    assert about["license"] == "agpl-3.0"
    assert about["metrics"] == ["mAP50-95(B)"]
    (index,) = about["model-index"]
    assert index["name"] == "lot"
    assert [(result["dataset"]["split"], result["metrics"][0]["value"]) for result in index["results"]] == [
        ("val", 0.7),
        ("test", 0.68),
    ]


def test_it_shows_the_verdict_the_data_and_the_limits() -> None:
    card = model_card(sweep(), winner_of("car", "van", caveats=("12.5% of val leaks",)), {})
    assert re.search(r"^> t0001 is better than the defaults by 0\.2000", card, re.MULTILINE), card
    assert re.search(
        r"^\| val \| 400 \| 0\.7000 \| 0\.5000 \| \+0\.2000 \| \+0\.1\d+ to \+0\.2\d+ \|$", card, re.MULTILINE
    )
    assert "| val | 400 | 24 | 12.5% |" in card
    assert "| lr0 | 0.02 |" in card
    assert "- 12.5% of val leaks" in card
    assert "imgsz=96" in card
    assert "f" * 64 in card
    assert "/home/anna" not in card, "a card is published"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_texts_of_a_run_stay_texts(hostile: str) -> None:
    plain = model_card(sweep(name="x", labels=("x", "van")), winner_of("x", "van", caveats=("x",)), {})
    card = model_card(sweep(name=hostile, labels=(hostile, "van")), winner_of(hostile, "van", caveats=(hostile,)), {})
    marks = r"^(#+ |> |```|---)|(?<!\\)\||(?<!\\)[`*_~]|<|(?<!\\)\[|[\x00-\x09\x0b-\x1f\u202e]"

    def structure(text: str) -> list[str]:
        body = text.split("---\n", 2)[2]
        return [found[0] for found in re.finditer(marks, body, re.MULTILINE)]

    assert structure(card) == structure(plain)
    assert front_matter(card).keys() == front_matter(plain).keys()
    assert front_matter(card)["license"] == "agpl-3.0"


def test_a_model_that_nothing_else_loads_gets_no_snippet() -> None:
    card = model_card(sweep(model="toy/red"), winner_of("car", model="toy/red"), {})
    assert "library_name" not in front_matter(card)
    assert "```" not in card
