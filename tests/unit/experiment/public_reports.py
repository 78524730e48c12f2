"""Problems that people reported in public, 2024 to 2026: each as the smallest experiment that shows what happens now.

Described in our own words; ``before`` is what yolosweep did when the report was first tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BOX = {"box": {"min": 1.0, "max": 9.0}}


@dataclass(frozen=True, kw_only=True)
class Report:
    """One report, what a user would write here, and the answer."""

    where: str
    """Repository and number."""
    when: str
    about: str
    now: str
    """Part of the refusal or of the note; empty: the experiment is accepted without a word about it."""
    before: str
    key: str = ""
    """The key that the answer is about; empty for a note."""
    train: dict[str, Any] = field(default_factory=dict)
    space: dict[str, Any] = field(default_factory=lambda: dict(BOX))
    more: dict[str, Any] = field(default_factory=dict)
    is_note: bool = False


def _same(now: str) -> str:
    return f"the same: {now or 'accepted'}"


REPORTS = [
    Report(
        where="ultralytics/ultralytics#15872",
        when="2024-08",
        about="a tuning with batch -1 crashed, because AutoBatch did not run and the loader got the -1",
        train={"batch": -1},
        is_note=True,
        now="train.batch=-1 is found before the first trial",
        before="refused: AutoBatch depends on what else runs on the GPU",
    ),
    Report(
        where="ultralytics/ultralytics#17334",
        when="2024-11",
        about="asked for AutoBatch on one of several equal GPUs, and its batch on all of them",
        train={"batch": 0.8},
        more={"resources": {"workers": 2, "gpus_per_trial": 2}},
        is_note=True,
        now="train.batch=0.8 is found before the first trial",
        before="refused",
    ),
    Report(
        where="ultralytics/ultralytics#17370",
        when="2024-11",
        about="a batch of 1 on two GPUs ended with an error about AutoBatch",
        train={"batch": 1},
        more={"resources": {"workers": 2, "gpus_per_trial": 2}},
        key="train.batch",
        now="batch 1 cannot be shared by 2 ranks; choose a multiple of 2",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#24455",
        when="2026-05",
        about="a W&B sweep over a pose model crashed in the runs that drew -1 among its batches",
        space={"batch": {"values": [8, 16, -1]}, "imgsz": {"values": [640]}, "freeze": {"values": [0, 3, 5]}},
        more={"task": "pose", "model": "yolov8n-pose.yaml"},
        is_note=True,
        now="search.parameters.batch=-1 is found before the first trial",
        before="refused: AutoBatch as a choice",
    ),
    Report(
        where="ultralytics/ultralytics#24455 (dropout)",
        when="2026-05",
        about="the same sweep searched dropout, which a pose model does not have",
        space={"dropout": {"values": [0.0, 0.1]}},
        more={"task": "pose", "model": "yolov8n-pose.yaml"},
        key="search.parameters.dropout",
        now="has no effect with task=pose: it acts in classify only",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#18013",
        when="2024-12",
        about="early stopping ended trainings before mosaic was switched off for the last epochs",
        train={"epochs": 100, "patience": 5},
        is_note=True,
        now="such a trial is never trained without it",
        before="accepted without a word",
    ),
    Report(
        where="ultralytics/ultralytics#23677",
        when="2026-02",
        about="tried to keep a parameter out of the search with a range from 0 to 0",
        space={"shear": {"min": 0, "max": 0}},
        key="search.parameters.shear",
        now="for a single value write value: 0",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#22065",
        when="2025-09",
        about="a search space of one's own raised a KeyError for a parameter that was not in it",
        train={"optimizer": "AdamW"},
        space={"lr0": {"min": 0.0001, "max": 0.01}},
        now="",
        before=_same(""),
    ),
    Report(
        where="ultralytics/ultralytics#22819",
        when="2025-11",
        about="with val false, patience had nothing to count, and the training still stopped early",
        train={"val": False, "patience": 5},
        key="train.val",
        now="every epoch is validated",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#22782",
        when="2025-11",
        about="a small lr0 was ignored in a classification, because the optimizer was left at auto",
        train={"lr0": 0.0001},
        space={"weight_decay": {"min": 0.0001, "max": 0.01}},
        more={"task": "classify", "model": "yolo11n-cls.yaml"},
        key="train.lr0",
        now="has no effect with train.optimizer=auto; set train.optimizer",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#18551",
        when="2025-01",
        about="a Ray Tune search over epochs and optimizers failed in its trials",
        space={"epochs": {"values": [50, 60, 80]}, "optimizer": {"values": ["SGD", "auto"]}},
        key="search.parameters.epochs",
        now="trials of different length cannot be ranked fairly",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#18551 (auto)",
        when="2025-01",
        about="the same search varied lr0, which auto among its optimizers ignores",
        space={"lr0": {"min": 0.0001, "max": 0.1}, "optimizer": {"values": ["SGD", "auto"]}},
        key="search.parameters.lr0",
        now="take auto out of search.parameters.optimizer",
        before=_same("refused"),
    ),
    Report(
        where="ray-project/ray#47859",
        when="2024-09",
        about="a tuning of an architecture with weights loaded into it failed under Ray",
        train={"pretrained": "yolov8n.pt"},
        more={"model": "yolov8n.yaml"},
        key="train.pretrained",
        now="there is no file yolov8n.pt beside the experiment; write the path of one which every node can read",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#18359",
        when="2024-12",
        about="asked whether YOLOv10 can be tuned with Ray",
        more={"model": "yolov10n.yaml"},
        now="",
        before=_same(""),
    ),
    Report(
        where="ultralytics/ultralytics#20590",
        when="2025-05",
        about="trained with augment true, which belongs to prediction, and compared the scores of two validations",
        train={"augment": True},
        key="train.augment",
        now="has no effect on a training",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#14929",
        when="2024-08",
        about="yolov8-rtdetr scored less when it was validated again than in its training",
        more={"model": "yolov8-rtdetr.yaml"},
        key="model",
        now="is RT-DETR, which Ultralytics trains in another way",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#9815",
        when="2024-04",
        about="a training limited by time could not be resumed near its end",
        train={"time": 1.5},
        key="train.time",
        now="a trial whose length depends on speed cannot be repeated",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#15700",
        when="2024-08",
        about="resume true was passed together with the settings of a new training",
        train={"resume": True},
        key="train.resume",
        now="yolosweep resumes whole sweeps: yolosweep resume RUN",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#18726",
        when="2025-01",
        about="wanted to tune for the F1 score",
        more={"search": {"metric": "metrics/F1(B)"}},
        key="search.metric",
        now="is not reported for task=detect; did you mean",
        before=_same("refused"),
    ),
    Report(
        where="ultralytics/ultralytics#18252",
        when="2024-12",
        about="a Ray search for oriented boxes hung after its metric was changed in the library",
        more={"task": "obb", "model": "yolov8n-obb.yaml", "search": {"metric": "metrics/mAP50(B)"}},
        now="",
        before=_same(""),
    ),
    Report(
        where="ultralytics/ultralytics#17627",
        when="2024-11",
        about="W&B refused the project name, because it was the path of a folder",
        more={"track": {"wandb": {"project": "runs/train"}}},
        key="track.wandb.project",
        now="none of / \\ # ? % :, as W&B asks",
        before="accepted; the W&B client refuses such a name when the sweep runs",
    ),
]

FROZEN = [
    (
        "ultralytics/ultralytics#13242",
        "2024-05",
        "with 11 layers frozen, a part of the head was listed as frozen",
        11,
        None,
    ),
    ("ultralytics/ultralytics#15839", "2024-08", "with freeze unset, that part was listed, too", 0, None),
    ("ultralytics/ultralytics#16013", "2024-09", "counted layers that have no weights", [11], "11 names no weights"),
]
"""Repository and number, when, about, ``freeze``, answer. Before: all were accepted; #16013 froze nothing."""

RESUMED = [
    ("ultralytics/ultralytics#8379", "2024-02", "another patience on a resume was ignored", "train.patience=3"),
    ("ultralytics/ultralytics#8991", "2024-03", "no more epochs after early stopping", "train.epochs=50"),
]
"""Repository and number, when, about, and what is asked of ``yolosweep resume``. Before: refused, as now."""
