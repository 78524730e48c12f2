"""The commented experiment file that ``yolosweep init`` writes for a data set."""

from __future__ import annotations

import json
import re
from pathlib import Path

from yolosweep.backends import DEFAULT_BACKEND, backend_for
from yolosweep.experiment.schema import SCHEMA_FILE
from yolosweep.records import DataProfile

__all__ = ["starter"]


def starter(
    data: Path | str,
    *,
    task: str,
    name: str,
    model: str | None,
    profile: DataProfile | None = None,
    time: str | None = None,
    epochs: int | None = None,
    schema: str | None = None,
    file: str = "experiment.yaml",
) -> str:
    """Return the text of an experiment file that loads without a fault and can be started as it is.

    Args:
        data: what to write as ``data:``; a relative path is relative to the folder of the file.
        task: detect, segment, classify, pose or obb.
        name: any text; characters that a name may not contain become hyphens.
        model: weights to start from; the backend's suggestion for the task if None.
        profile: what is known of the data, which decides batch, imgsz and nbs.
        time: time budget, e.g. ``8h``; None: a number of trials.
        epochs: of a trial; None: what is usual.
        schema: path or URL of the JSON schema for editors; the one in this installation if None.
        file: name of the experiment file.
    """
    backend = DEFAULT_BACKEND if model is None else backend_for(model)
    start = backend.starter(task, profile or DataProfile(), epochs)
    lines = [
        f"# yaml-language-server: $schema={schema or SCHEMA_FILE}",
        "# One sweep: what to train on, what stays the same, what is searched, and how long.",
        f"# Check it, without training anything: yolosweep plan {file}",
        "",
        f"name: {_text(_legal(name))}",
        f"task: {task}",
        f"model: {_text(model or start.model)}  # trained weights learn faster than a .yaml from scratch",
        f"data: {_text(str(data))}",
        "seed: 0",
        "",
        f"train:  # train arguments of {backend.name} that stay the same in all trials",
        *(f"  {line}" for line in start.train),
        "",
        "search:",
        *_budget(time, epochs),
        "  # pruner: none  # lets all trials finish; by default those with hardly any chance to win are stopped",
        "  parameters:  # {min, max}, {values} or {value}, as in W&B sweep files",
        *(f"    {line}" for line in start.space),
        "",
        "# resources: {gpus_per_trial: 0.5}  # two trials on one GPU, 4: one trial on four; auto by default",
        "# storage: ./runs  # where run folders go; on a cluster, a folder that every node mounts, or s3://bucket/sweeps",
        "# track: {wandb: {project: my-project}}  # mirror to Weights & Biases",
    ]
    return "\n".join(lines) + "\n"


def _budget(time: str | None, epochs: int | None) -> list[str]:
    if time is None:
        return [
            "  trials: 20  # trial 0 has the default arguments, so that you see what the search gained",
            "  # time_budget: 8h  # stop after this long; with trials, whichever comes first",
        ]
    chosen = "" if epochs is None else ", for which epochs was chosen"
    return [
        f"  time_budget: {time}  # as many trials as fit{chosen}; trial 0 has the default arguments",
        "  # trials: 20  # at most this many",
    ]


def _legal(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64] or "experiment"


def _text(value: str) -> str:
    """Return a plain YAML scalar where that is safe, else a quoted one."""
    plain = re.fullmatch(r"[A-Za-z0-9./~_-][A-Za-z0-9./~_+ -]*(?<! )|sample:[a-z]+", value)
    ambiguous = re.fullmatch(r"[-+.0-9eE_xob:]+|~|true|false|null|-.*|\..?[a-z]{3}", value, flags=re.IGNORECASE)
    return value if plain and not ambiguous else json.dumps(value, ensure_ascii=False)
