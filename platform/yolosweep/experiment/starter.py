"""The commented experiment file that ``yolosweep init`` writes for a data set."""

from __future__ import annotations

import json
import re
from pathlib import Path

from yolosweep.experiment.schema import SCHEMA_FILE, TOY_MODEL

__all__ = ["starter"]

_MODELS = {
    "detect": "yolo26n.pt",
    "segment": "yolo26n-seg.pt",
    "classify": "yolo26n-cls.pt",
    "pose": "yolo26n-pose.pt",
    "obb": "yolo26n-obb.pt",
}
_SMALL = 1000
"""Below this many training images an epoch has so few steps that holding gradients (nbs) costs too many of them."""

_LR0 = "lr0: {min: 1.0e-4, max: 1.0e-2, distribution: log_uniform_values}  # AdamW wants less than SGD"
_BOXES = (
    _LR0,
    "weight_decay: {min: 1.0e-5, max: 1.0e-2, distribution: log_uniform_values}",
    "scale: {min: 0.2, max: 0.9}  # how much objects are made larger and smaller",
    "hsv_v: {min: 0.0, max: 0.8}  # brightness",
    "mixup: {min: 0.0, max: 0.3}",
)
_SPACES: dict[str, tuple[str, ...]] = {
    "detect": (*_BOXES, "box: {min: 4.0, max: 12.0}  # weight of the box loss"),
    "segment": (*_BOXES, "copy_paste: {min: 0.0, max: 0.5}  # objects cut out and pasted elsewhere"),
    "pose": (*_BOXES, "pose: {min: 6.0, max: 24.0}  # weight of the keypoint loss"),
    "obb": (*_BOXES, "degrees: {min: 0.0, max: 180.0}  # rotation; narrow it where up is always up"),
    "classify": (
        _LR0,
        "weight_decay: {min: 1.0e-5, max: 1.0e-2, distribution: log_uniform_values}",
        "dropout: {min: 0.0, max: 0.5}",
        "scale: {min: 0.2, max: 0.9}  # how much of the picture may be cropped away",
        "erasing: {min: 0.0, max: 0.6}  # parts blanked out",
    ),
}
_TOY_SPACE = (
    "lr0: {min: 0.001, max: 0.1, distribution: log_uniform_values}",
    "weight_decay: {min: 0.0, max: 0.01}",
)


def starter(
    data: Path | str,
    *,
    task: str,
    name: str,
    model: str | None,
    train_images: int | None,
    schema: str | None = None,
) -> str:
    """Return the text of an experiment file that loads without a fault and can be started as it is.

    Args:
        data: what to write as ``data:``; a relative path is relative to where the file will lie.
        task: detect, segment, classify, pose or obb.
        name: any text; letters that a name may not have become hyphens.
        model: weights to start from; the smallest YOLO26 of the task if None.
        train_images: size of the training split, which decides batch and nbs; None if not known.
        schema: path or URL of the JSON schema for editors; the one in this installation if None.
    """
    toy = model == TOY_MODEL
    space = _TOY_SPACE if toy else _SPACES[task]
    lines = [
        f"# yaml-language-server: $schema={schema or SCHEMA_FILE}",
        "# One sweep: what to train on, what stays the same, what is searched, and how long.",
        "# Check it, without training anything: yolosweep plan experiment.yaml",
        "",
        f"name: {_text(_legal(name))}",
        f"task: {task}",
        f"model: {_text(model or _MODELS[task])}  # trained weights learn faster than a .yaml from scratch",
        f"data: {_text(str(data))}",
        "seed: 0",
        "",
        "train:  # Ultralytics train arguments that stay the same in all trials",
        *(f"  {line}" for line in (_toy_train(train_images) if toy else _train(task, train_images))),
        "",
        "search:",
        "  trials: 20  # trial 0 takes Ultralytics' defaults, so that you see what the search gained",
        "  # time_budget: 8h  # start no trial after this long",
        "  pruner: asha  # stops trials that are behind; none lets all of them finish",
        "  parameters:  # {min, max}, {values} or {value}, as in W&B sweep files",
        *(f"    {line}" for line in space),
        "",
        "# resources: {gpus_per_trial: 0.5}  # two trials on one GPU, 4: one trial on four; auto by default",
        "# storage: ./runs  # where run folders go; on a cluster, a folder that every node sees, or s3://bucket/sweeps",
        "# track: {wandb: {project: my-project}}  # mirror to Weights & Biases",
    ]
    return "\n".join(lines) + "\n"


def _train(task: str, train_images: int | None) -> list[str]:
    batch = _batch(train_images)
    lines = [
        "epochs: 50",
        f"imgsz: {224 if task == 'classify' else 640}",
        f"batch: {batch}",
        "optimizer: AdamW  # with auto, Ultralytics chooses the learning rate itself and lr0 does nothing",
        "patience: 15  # a trial ends after this many epochs without gain",
    ]
    if task != "classify":
        lines.append("close_mosaic: 10  # the last epochs see whole pictures")
    if train_images is not None and train_images < _SMALL:
        lines.append(f"nbs: {batch}  # few images: let every batch change the weights")
    return lines


def _toy_train(train_images: int | None) -> list[str]:
    return ["epochs: 20", f"batch: {_batch(train_images)}", "patience: 5  # a trial ends after this many without gain"]


def _batch(train_images: int | None) -> int:
    """Return 16, or for very small sets a power of two that leaves about four batches per epoch."""
    if train_images is None or train_images >= 64:
        return 16
    return max(1 << (max(train_images, 1) // 4).bit_length() - 1, 1) if train_images >= 4 else 1


def _legal(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64] or "experiment"


def _text(value: str) -> str:
    """Return a plain YAML scalar where that is safe, else a quoted one."""
    plain = re.fullmatch(r"[A-Za-z0-9./~_-][A-Za-z0-9./~_+ -]*(?<! )|sample:[a-z]+", value)
    ambiguous = re.fullmatch(r"[-+.0-9eE_xob:]+|~|true|false|null|-.*|\..?[a-z]{3}", value, flags=re.IGNORECASE)
    return value if plain and not ambiguous else json.dumps(value, ensure_ascii=False)
