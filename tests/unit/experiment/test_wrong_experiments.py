"""Wrong experiment files: each is refused with every fault at once, its key, its line, and the way out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.errors import ExperimentError, UsageError
from yolosweep.experiment import load_experiment
from yolosweep.experiment.search_choices import SEARCHERS

HEAD = "name: demo\nmodel: yolo26n.pt\ndata: data.yaml\nsearch: {parameters: {box: {min: 4.0, max: 9.0}}}\n"
"""Lines 1 to 4 of a file that is fine; what follows starts on line 5."""
TOP = "name: demo\nmodel: yolo26n.pt\ndata: data.yaml\n"
"""Lines 1 to 3; the search follows on line 4."""
SGD = TOP + "train: {optimizer: SGD}\n"
"""Lines 1 to 4, with an optimizer that uses lr0."""


@dataclass(frozen=True)
class Wrong:
    id: str
    text: str
    faults: tuple[tuple[str, int | None, str], ...]
    overrides: tuple[str, ...] = ()


def wrong(name: str, text: str, *faults: tuple[str, int | None, str], overrides: tuple[str, ...] = ()) -> Wrong:
    return Wrong(name, text, faults, overrides)


def axis(name: str, axis_text: str) -> str:
    return SGD + f"search: {{parameters: {{{name}: {axis_text}}}}}\n"


SPACES = [
    wrong("values that Ultralytics would only notice in a trial, or not at all",
          TOP + "train: {compile: banana, workers: -1, close_mosaic: -1, nms: false}\n"
          "search: {parameters: {box: {min: -4.0, max: 9.0}}}\n",
          ("train.compile", 4, "'banana' is not a compile of Ultralytics; one of default, reduce-overhead"),
          ("train.workers", 4, "-1 must be 0 or more"), ("train.close_mosaic", 4, "-1 must be 0 or more"),
          ("train.nms", 4, "every trial is scored through NMS"),
          ("search.parameters.box", 5, "-4 must be 0 or more")),
    wrong("finals that are a word", SGD + "search: {finals: off, parameters: {box: {min: 4.0, max: 9.0}}}\n",
          ("search.finals", 5, "'off' must be a mapping, e.g. {top: 3, seeds: 3}, or none")),
    wrong("a start that makes no difference",
          TOP.replace(".pt", ".yaml") + "search: {parameters: {pretrained: {values: [true, false]}}}\n",
          ("search.parameters.pretrained", 4, "has no effect on yolo26n.yaml, which starts from scratch either way")),
    wrong("condition on what is not searched", axis("box", "{min: 4.0, max: 9.0, when: {optimizer: SGD}}"),
          ("search.parameters.box.when.optimizer", 5, "is not another searched parameter")),
    wrong("condition on a value that is never taken",
          TOP + "search: {parameters: {optimizer: {values: [SGD, AdamW]}, momentum: {min: 0.6, max: 0.9, "
          "when: {optimizer: [SGD, Adam]}}}}\n",
          ("search.parameters.momentum.when.optimizer", 4, "optimizer never is Adam; it is one of SGD, AdamW")),
    wrong("condition on a range", axis("box", "{min: 4.0, max: 9.0}, dfl: {min: 1.0, max: 2.0, when: {box: 4.0}}"),
          ("search.parameters.dfl.when.box", 5, "box is a range")),
    wrong("conditions in a circle",
          axis("box", "{values: [4.0, 9.0], when: {dfl: 1.0}}, dfl: {values: [1.0, 2.0], when: {box: 4.0}}"),
          ("search.parameters.box.when", 5, "circle"), ("search.parameters.dfl.when", 5, "circle")),
    wrong("constraint that runs code", HEAD.replace("search: {", "search: {constraints: ['exit() < box'], "),
          ("search.constraints[0]", 4, "holds Call, which is not part of a comparison")),
    wrong("constraint on a typo", HEAD.replace("search: {", "search: {constraints: [imgz < 900], "),
          ("search.constraints[0]", 4, "imgz is not a train argument of Ultralytics; did you mean imgsz?")),
    wrong("constraint on nothing searched", HEAD.replace("search: {", "search: {constraints: [dfl < 9], "),
          ("search.constraints[0]", 4, "holds no searched parameter")),
    wrong("constraint that excludes the defaults", HEAD.replace("search: {", "search: {constraints: [box < 7], "),
          ("search.constraints[0]", 4, "trial 0, the defaults, is excluded by box < 7 (box=7.5)")),
    wrong("constraint on a text", HEAD.replace("search: {", "search: {constraints: [box < optimizer], "),
          ("search.constraints[0]", 4, "cannot be calculated")),
    wrong("nested parameters of W&B", axis("box", "{parameters: {a: {value: 1}}}"),
          ("search.parameters.box.parameters", 5, "not nested here")),
    wrong("warm start of a grid", HEAD.replace("search: {parameters: {box: {min: 4.0, max: 9.0}}}",
          "search: {searcher: grid, warm_start: [runs/a], parameters: {box: {values: [4.0, 7.5]}}}"),
          ("search.warm_start", 4, "has no effect with search.searcher: grid")),
]  # fmt: skip

SYNTAX = [
    wrong("empty file", "", ("", None, "yolosweep init")),
    wrong("comments only", "# nothing here\n", ("", None, "is empty")),
    wrong("a list", "- name: a\n", ("", None, "must be a mapping")),
    wrong("a word", "hello\n", ("", None, "must be a mapping")),
    wrong("tab", "name: a\n\tmodel: b\n", ("YAML", 2, "indents with spaces")),
    wrong("bracket left open", "name: a\nsearch: {trials: 3\n", ("YAML", 3, "brackets")),
    wrong("colon in a value", "name: a\nmodel: C: b\n", ("YAML", 2, "quotes")),
    wrong("key twice", TOP + "name: other\n", ("name", 4, "is written twice (first on line 1); remove one")),
    wrong("nested key twice", HEAD + "train:\n  epochs: 5\n  epochs: 6\n", ("train.epochs", 7, "first on line 6")),
    wrong(
        "two keys twice, one of them in braces and quotes",
        HEAD + "train: {epochs: 1, 'epochs': 2}\nseed: 1\nseed: 2\n",
        ("train.epochs", 5, "first on line 5"),
        ("seed", 7, "first on line 6"),
    ),
    wrong("tab before a value", HEAD + "seed:\t3\n", ("YAML", 5, "spaces in place of the tab")),
    wrong("alias inside of itself", HEAD + "train: &all {epochs: *all}\n", ("YAML", None, "an alias (*name) inside")),
    wrong("too deep for the parser", HEAD + "train: " + "[" * 1200 + "]" * 1200, ("YAML", None, "more than 50 levels")),
    wrong(
        "aliases of aliases",
        HEAD + "train:\n  a0: &a0 [1, 2]\n" + "".join(f"  a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)),
        ("YAML", None, "more than 20000 values"),
    ),
    wrong("unknown alias", "name: *nobody\n", ("YAML", 1, "undefined alias")),
    wrong("python object", "name: !!python/object:os.system x\n", ("YAML", 1, "constructor")),
    wrong("two documents", "name: a\n---\nname: b\n", ("YAML", 2, "single document")),
]

UNKNOWN = [
    wrong("top level, typo", HEAD + "stroage: ./x\n", ("stroage", 5, "did you mean storage?")),
    wrong("top level, argument", HEAD + "epochs: 50\n", ("epochs", 5, "did you mean train.epochs?")),
    wrong("top level, axis", HEAD + "degrees: {min: 0, max: 9}\n", ("degrees", 5, "search.parameters.degrees?")),
    wrong("top level, foreign argument", HEAD + "batch_size: 8\n", ("batch_size", 5, "did you mean train.batch?")),
    wrong("top level, search field", HEAD + "trials: 9\n", ("trials", 5, "did you mean search.trials?")),
    wrong("top level, W&B", HEAD + "wandb: {project: x}\n", ("wandb", 5, "did you mean track.wandb?")),
    wrong("top level, device", HEAD + "device: 0\n", ("device", 5, "resources.gpus_per_trial")),
    wrong("top level, nothing close", HEAD + "zzz: 0\n", ("zzz", 5, "known here: augmentations, data")),
    wrong(
        "Ray's scheduler",
        TOP + "search:\n  scheduler: asha\n  parameters: {box: {min: 4, max: 9}}\n",
        ("search.scheduler", 5, "did you mean search.pruner?"),
    ),
    wrong(
        "mistyped scheduler",
        TOP + "search:\n  schedular: asha\n  parameters: {box: {min: 4, max: 9}}\n",
        ("search.schedular", 5, "did you mean search.pruner?"),
    ),
    wrong(
        "W&B words",
        TOP + "search:\n  method: bayes\n  early_terminate: {type: hyperband}\n  run_cap: 3\n"
        "  parameters: {box: {min: 4, max: 9}}\n",
        ("search.method", 5, "search.searcher?"),
        ("search.early_terminate", 6, "search.pruner?"),
        ("search.run_cap", 7, "search.trials?"),
    ),
    wrong(
        "Ray words",
        TOP + "search:\n  num_samples: 3\n  max_concurrent_trials: 2\n  grace_period: 2\n"
        "  parameters: {box: {min: 4, max: 9}}\n",
        ("search.num_samples", 5, "search.trials?"),
        ("search.max_concurrent_trials", 6, "resources.max_concurrent?"),
        ("search.grace_period", 7, "search.grace_epochs?"),
    ),
    wrong(
        "axis beside parameters",
        TOP + "search:\n  shear: {min: 0, max: 3}\n  parameters: {box: {min: 4, max: 9}}\n",
        ("search.shear", 5, "did you mean search.parameters.shear?"),
    ),
    wrong(
        "in a parameter",
        axis("lr0", "{low: 0.1, high: 0.2}"),
        ("search.parameters.lr0.low", 5, "write min:"),
        ("search.parameters.lr0.high", 5, "write max:"),
    ),
    wrong(
        "in a parameter, typo",
        axis("lr0", "{min: 0.1, max: 0.2, distributon: uniform}"),
        ("search.parameters.lr0.distributon", 5, "distribution?"),
    ),
    wrong(
        "log: true",
        axis("lr0", "{min: 0.1, max: 0.2, log: true}"),
        ("search.parameters.lr0.log", 5, "log_uniform_values"),
    ),
    wrong(
        "in resources", HEAD + "resources:\n  gpu: 1\n", ("resources.gpu", 6, "did you mean resources.gpus_per_trial?")
    ),
    wrong(
        "in track.wandb", HEAD + "track: {wandb: {projcet: x}}\n", ("track.wandb.projcet", 5, "track.wandb.project?")
    ),
    wrong("in train", HEAD + "train:\n  epoch: 5\n", ("train.epoch", 6, "did you mean train.epochs?")),
    wrong("in train, foreign", HEAD + "train: {lr: 5}\n", ("train.lr", 5, "did you mean train.lr0?")),
    wrong("in train, nothing close", HEAD + "train: {qqqqqq: 5}\n", ("train.qqqqqq", 5, "see the train settings")),
    wrong("searched, unknown", axis("lr9000", "{min: 0.1, max: 0.2}"), ("search.parameters.lr9000", 5, "did you mean")),
    wrong("key is a number", HEAD + "train: {1: 2}\n", ("train.1", 5, "put it in quotes")),
]

VALUES = [
    wrong(
        "all missing",
        "seed: 1\n",
        ("name", None, "name: parking-lot"),
        ("model", None, "yolo26n.pt"),
        ("data", None, "data.yaml"),
        ("search", None, "parameters: {lr0"),
    ),
    wrong("parameters missing", TOP + "search: {trials: 5}\n", ("search.parameters", 4, "what to search")),
    wrong("no parameters", TOP + "search:\n  parameters: {}\n", ("search.parameters", 5, "what to search")),
    wrong("parameters commented out", TOP + "search:\n  parameters:\n", ("search.parameters", 5, "is empty")),
    wrong("train without content", HEAD + "train:\n", ("train", 5, "is empty; remove the key")),
    wrong("name with blanks", HEAD.replace("demo", "my demo"), ("name", 1, "must start with a letter or a digit")),
    wrong("name is a number", HEAD.replace("demo", "2024"), ("name", 1, "goes in quotes")),
    wrong("task", HEAD + "task: detction\n", ("task", 5, "did you mean detect?")),
    wrong("seed below zero", HEAD + "seed: -1\n", ("seed", 5, "0 or more")),
    wrong("seed beyond numpy's", HEAD + "seed: 99999999999\n", ("seed", 5, "2147483647 or less")),
    wrong("seed is true", HEAD + "seed: true\n", ("seed", 5, "whole number")),
    wrong("seed is text", HEAD + "seed: '5'\n", ("seed", 5, "whole number")),
    wrong(
        "no trials",
        TOP + "search: {trials: 0, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.trials", 4, "1 or more"),
    ),
    wrong(
        "half a trial",
        TOP + "search: {trials: 2.5, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.trials", 4, "whole number"),
    ),
    wrong(
        "duration",
        TOP + "search: {time_budget: 8 hours, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.time_budget", 4, "90s, 30m, 8h or 2d"),
    ),
    wrong(
        "no time",
        TOP + "search: {time_budget: 0, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.time_budget", 4, "must be above 0"),
    ),
    wrong(
        "searcher",
        TOP + "search: {searcher: bayes, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.searcher", 4, f"must be one of {', '.join(SEARCHERS)}"),
    ),
    wrong(
        "pruner",
        TOP + "search: {pruner: ahsa, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.pruner", 4, "did you mean asha?"),
    ),
    wrong(
        "an option of another searcher",
        TOP + "search: {searcher: qmc, searcher_options: {first: 3}, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.searcher_options.first", 4, "not an option of search.searcher: qmc, which has none; remove it"),
    ),
    wrong(
        "pruner options",
        TOP + "search: {pruner_options: {chnce: 0.1, chance: 3, complete: 2.5}, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.pruner_options.chnce", 4, "which has chance, top, complete, protected"),
        ("search.pruner_options.chance", 4, "3 must be a number from 0 to 0.5; the default is 0.02"),
        ("search.pruner_options.complete", 4, "2.5 must be a whole number from 1 to 1000; the default is 3"),
    ),
    wrong(
        "reduction",
        TOP + "search: {reduction_factor: 1, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.reduction_factor", 4, "2 or more"),
    ),
    wrong(
        "a GPU and a half",
        HEAD + "resources: {gpus_per_trial: 1.5}\n",
        ("resources.gpus_per_trial", 5, "must be a share of one GPU (0 to 1) or a whole number of GPUs"),
    ),
    wrong(
        "a batch that is no number, on two GPUs",
        HEAD + "train: {batch: all}\nresources: {gpus_per_trial: 2}\n",
        ("train.batch", 5, "number"),
    ),
    wrong(
        "three GPUs and a batch they cannot share",
        HEAD + "resources: {gpus_per_trial: 3}\n",
        ("train.batch", None, "batch 16 cannot be shared by 3 ranks; choose a multiple of 3"),
    ),
    wrong(
        "more GPUs than ranks",
        HEAD + "resources: {gpus_per_trial: 4, workers: 2}\n",
        ("resources.gpus_per_trial", 5, "4 does not fit 2 workers: each has one GPU; set 2, or 0 for the CPU"),
    ),
    wrong(
        "a searched batch that ranks cannot share, in batches of one shape",
        TOP + "train: {rect: true}\nresources: {workers: 4}\nsearch: {parameters: {batch: {values: [8, 10]}}}\n",
        ("train.rect", 4, "cannot be shared by 4 ranks"),
        ("search.parameters.batch", 6, "batch 10 cannot be shared by 4 ranks; choose a multiple of 4"),
    ),
    wrong(
        "the toy on two ranks",
        HEAD.replace("yolo26n.pt", "toy/red").replace("box", "lr0") + "resources: {workers: 2}\n",
        ("resources", 5, "toy/red trains in one process; set workers: 1 and gpus_per_trial: 0"),
    ),
    wrong("no ranks", HEAD + "resources: {workers: 0}\n", ("resources.workers", 5, "1 or more")),
    wrong(
        "no checkpoints",
        HEAD + "trial: {checkpoint_every: 0}\n",
        ("trial.checkpoint_every", 5, "a whole number of epochs from 1 up"),
    ),
    wrong("no such policy", HEAD + "trial: {on_oom: retry}\n", ("trial.on_oom", 5, "lower_batch, fail")),
    wrong("retries of elsewhere", HEAD + "max_failures: 3\n", ("max_failures", 5, "did you mean trial.retries?")),
    wrong(
        "a key of trial",
        HEAD + "trial: {checkpoint_evry: 3}\n",
        ("trial.checkpoint_evry", 5, "did you mean trial.checkpoint_every?"),
    ),
    wrong("GPUs by name", HEAD + "resources: {gpus_per_trial: all}\n", ("resources.gpus_per_trial", 5, "or auto")),
    wrong("no CPU", HEAD + "resources: {cpus_per_trial: 0}\n", ("resources.cpus_per_trial", 5, "from 1 up")),
    wrong("keep nothing", HEAD + "keep_top: 0\n", ("keep_top", 5, "1 or more")),
    wrong("wandb: true", HEAD + "track: {wandb: true}\n", ("track.wandb", 5, "{} takes all defaults")),
    wrong("Comet", HEAD + "track: {comet: {}}\n", ("track.comet", 5, "not supported; track.tensorboard")),
    wrong("ClearML", HEAD + "clearml: true\n", ("clearml", 5, "not supported; track.tensorboard")),
    wrong("tags", HEAD + "track: {wandb: {tags: red}}\n", ("track.wandb.tags", 5, "must be a list")),
    wrong(
        "storage at http",
        HEAD + "storage: https://x.org/runs\n",
        ("storage", 5, "https:// cannot hold"),
    ),
    wrong(
        "storage at ftp", HEAD + "storage: ftp://x.org/runs\n", ("storage", 5, "ftp:// cannot hold a run folder; use")
    ),
    wrong("storage without a bucket", HEAD + "storage: s3:///runs\n", ("storage", 5, "write s3://bucket/sweeps")),
    wrong(
        "a secret in storage", HEAD + "storage: s3://a:b@bucket/x\n", ("storage", 5, "holds credentials, which would")
    ),
    wrong(
        "a key in storage", HEAD + "storage: s3://b/x?secret_key=c\n", ("storage", 5, "put them into the environment")
    ),
    wrong("unknown sample", HEAD.replace("data.yaml", "sample:car-park"), ("data", 3, "sample:parking")),
    wrong("data from the web", HEAD.replace("data.yaml", "https://x.org/a.zip"), ("data", 3, "download the data set")),
    wrong(
        "pipeline is no list",
        HEAD + "augmentations: {soft: {Blur: {p: 0.3}}}\n",
        ("augmentations.soft", 5, "must be a list of transforms with their settings, e.g. [{Blur: {p: 0.3}}"),
    ),
    wrong(
        "pipeline step without settings",
        HEAD + "augmentations:\n  soft:\n    - Blur\n",
        ("augmentations.soft[0]", 7, "with their settings, e.g. [{Blur: {p: 0.3}}"),
    ),
]

AXES = [
    wrong("bare number", axis("lr0", "0.1"), ("search.parameters.lr0", 5, "{min: 0.1, max: 0.9}")),
    wrong("nothing given", axis("lr0", "{}"), ("search.parameters.lr0", 5, "give one of")),
    wrong("two kinds", axis("lr0", "{value: 1, min: 0.1, max: 0.9}"), ("search.parameters.lr0", 5, "give one of")),
    wrong("no max", axis("lr0", "{min: 0.1}"), ("search.parameters.lr0", 5, "max is missing")),
    wrong("no min", axis("lr0", "{max: 0.1}"), ("search.parameters.lr0", 5, "min is missing")),
    wrong("upside down", axis("lr0", "{min: 0.2, max: 0.1}"), ("search.parameters.lr0", 5, "must be below max")),
    wrong("empty range", axis("lr0", "{min: 0.1, max: 0.1}"), ("search.parameters.lr0", 5, "write value: 0.1")),
    wrong("infinite", axis("lr0", "{min: 0.1, max: .inf}"), ("search.parameters.lr0", 5, "finite")),
    wrong("not a number", axis("lr0", "{min: .nan, max: 1}"), ("search.parameters.lr0", 5, "finite")),
    wrong("min is text", axis("lr0", "{min: small, max: 1}"), ("search.parameters.lr0.min", 5, "must be a number")),
    wrong("min is true", axis("lr0", "{min: true, max: 2}"), ("search.parameters.lr0.min", 5, "must be a number")),
    wrong(
        "log from zero",
        axis("lr0", "{min: 0, max: 1, distribution: log_uniform_values}"),
        ("search.parameters.lr0", 5, "must be above 0"),
    ),
    wrong("no values", axis("batch", "{values: []}"), ("search.parameters.batch.values", 5, "at least one")),
    wrong("values is a number", axis("batch", "{values: 8}"), ("search.parameters.batch.values", 5, "must be a list")),
    wrong("same value twice", axis("batch", "{values: [8, 16, 8]}"), ("search.parameters.batch", 5, "twice")),
    wrong("q alone", axis("lr0", "{min: 0.1, max: 1, q: 0.1}"), ("search.parameters.lr0", 5, "q_uniform")),
    wrong(
        "q is 0",
        axis("lr0", "{min: 0.1, max: 1, q: 0, distribution: q_uniform}"),
        ("search.parameters.lr0.q", 5, "above 0"),
    ),
    wrong(
        "q missing",
        axis("lr0", "{min: 0.1, max: 1, distribution: q_uniform}"),
        ("search.parameters.lr0", 5, "q (the step) needs distribution"),
    ),
    wrong(
        "int_uniform of fractions",
        axis("lr0", "{min: 0.1, max: 1, distribution: int_uniform}"),
        ("search.parameters.lr0", 5, "whole numbers"),
    ),
    wrong(
        "values with a range's distribution",
        axis("lr0", "{values: [1, 2], distribution: uniform}"),
        ("search.parameters.lr0", 5, "needs min and max"),
    ),
    wrong(
        "distribution typo",
        axis("lr0", "{min: 0.1, max: 1, distribution: unifrom}"),
        ("search.parameters.lr0.distribution", 5, "did you mean uniform?"),
    ),
    wrong(
        "W&B's log_uniform",
        axis("lr0", "{min: -4, max: 0, distribution: log_uniform}"),
        ("search.parameters.lr0", 5, "exponents; write distribution: log_uniform_values"),
    ),
    wrong(
        "W&B's normal",
        axis("lr0", "{mu: 0, sigma: 1, distribution: normal}"),
        ("search.parameters.lr0", 5, "must be bounded"),
    ),
    wrong("W&B's beta", axis("lr0", "{distribution: beta}"), ("search.parameters.lr0", 5, "distribution: uniform")),
    wrong(
        "W&B's weighted choice",
        axis("batch", "{values: [1, 2], distribution: categorical_w_probabilities}"),
        ("search.parameters.batch", 5, "learns the probabilities"),
    ),
]


def dead(name: str, train: str, why: str, axis_text: str = "{min: 0.0, max: 0.5}", head: str = "") -> Wrong:
    """A searched argument that does nothing because of the rest of the file."""
    text = TOP + f"{head}train: {{{train}}}\nsearch: {{parameters: {{{name}: {axis_text}}}}}\n"
    line = text.splitlines().index(next(row for row in text.splitlines() if row.startswith("search:"))) + 1
    return wrong(
        f"dead {name} with {train or 'defaults'} {head.strip()}", text, (f"search.parameters.{name}", line, why)
    )


CLASSIFY = "task: classify\n"
LINT = [
    dead("lr0", "", "set train.optimizer, e.g. AdamW"),
    dead("lr0", "optimizer: auto", "set train.optimizer, e.g. AdamW"),
    dead("warmup_bias_lr", "", "set train.optimizer"),
    dead("warmup_momentum", "optimizer: AdamW", "momentum of SGD"),
    dead("warmup_bias_lr", "optimizer: SGD, warmup_epochs: 0", "warmup_epochs=0"),
    dead("lrf", "epochs: 1", "train longer"),
    dead("cos_lr", "lrf: 1.0", "set train.lrf below 1", "{values: [true, false]}"),
    dead("mosaic", "epochs: 10", "train.close_mosaic: 0"),
    dead("mixup", "epochs: 30, close_mosaic: 30", "train.close_mosaic: 0"),
    dead("mosaic", "rect: true", "set train.rect: false"),
    dead("close_mosaic", "mosaic: 0", "are off; remove it", "{min: 0, max: 20}"),
    dead("close_mosaic", "rect: true", "are off; remove it", "{min: 0, max: 20}"),
    dead("copy_paste_mode", "", "set train.copy_paste", "{values: [flip, mixup]}", "task: segment\n"),
    dead("dis", "", "name a teacher"),
    dead("hsv_h", "", "set train.auto_augment: null", head=CLASSIFY),
    dead("erasing", "", "acts in classify only"),
    dead("mosaic", "", "acts in detect, segment, pose, obb only", head=CLASSIFY),
    dead("conf", "", "has no effect with task=classify", head=CLASSIFY),
    dead("copy_paste", "", "acts in detect, segment, obb only", head="task: pose\n"),
    dead("angle", "", "acts in obb only"),
    dead("dlog", "", "belongs to another task"),
    wrong("a size between", HEAD + "train: {imgsz: 100}\n", ("train.imgsz", 5, "would train with 128; write 128")),
    wrong("two sizes", HEAD + "train: {imgsz: [320, 640]}\n", ("train.imgsz", 5, "take the largest; write 640")),
    wrong("sizes between", axis("imgsz", "{values: [96, 100]}"), ("search.parameters.imgsz", 5, "write 128")),
    wrong("searched classes", axis("classes", "{values: [0, 1]}"), ("search.parameters.classes", 5, "under train:")),
    wrong(
        "weights elsewhere",
        HEAD + "train: {pretrained: a.pt}\n",
        ("train.pretrained", 5, "beside the experiment; write the path"),
    ),
    wrong(
        "no teacher",
        HEAD + "train: {distill_model: yolo26x.pt}\n",
        ("train.distill_model", 5, "beside the experiment; write the path"),
    ),
    wrong(
        "dead rle on an older model",
        HEAD.replace("yolo26n.pt", "yolo11n-pose.pt").replace("box", "rle") + "task: pose\n",
        ("search.parameters.rle", 4, "only YOLO26"),
    ),
    wrong("fixed and dead", HEAD + "train: {lr0: 0.002}\n", ("train.lr0", 5, "set train.optimizer")),
    wrong(
        "lr0 where auto is one of the choices",
        TOP + "search: {parameters: {lr0: {min: 0.1, max: 0.2}, optimizer: {values: [auto, SGD]}}}\n",
        ("search.parameters.lr0", 4, "take auto out"),
    ),
    wrong("optimizer typo", HEAD + "train: {optimizer: AdmW}\n", ("train.optimizer", 5, "did you mean AdamW?")),
    wrong(
        "policy typo",
        HEAD.replace("box", "dropout").replace("4.0, max: 9.0", "0.0, max: 0.5")
        + "task: classify\ntrain: {auto_augment: randaug}\n",
        ("train.auto_augment", 6, "randaugment?"),
    ),
    wrong(
        "searched and fixed",
        axis("momentum", "{min: 0.8, max: 0.9}").replace("SGD}", "SGD, momentum: 0.9}"),
        ("search.parameters.momentum", 5, "remove one of the two"),
    ),
    wrong("searched epochs", axis("epochs", "{min: 5, max: 9}"), ("search.parameters.epochs", 5, "set train.epochs")),
    wrong("searched workers", axis("workers", "{min: 1, max: 8}"), ("search.parameters.workers", 5, "train.workers")),
    wrong(
        "owned",
        HEAD + "train: {device: 0, resume: true, seed: 3}\n",
        ("train.device", 5, "Ray assigns devices"),
        ("train.resume", 5, "whole sweeps"),
        ("train.seed", 5, "seed:"),
    ),
    wrong("epoch*.pt", HEAD + "train: {save_period: 1}\n", ("train.save_period", 5, "trial.checkpoint_every")),
    wrong("predictions.json", HEAD + "train: {save_json: true}\n", ("train.save_json", 5, "yolo val save_json=True")),
    wrong("16 bits", HEAD + "train: {quantize: 16}\n", ("train.quantize", 5, "train.amp")),
    wrong("time", HEAD + "train: {time: 2}\n", ("train.time", 5, "cannot be repeated; set train.epochs")),
    wrong("time, searched", axis("time", "{min: 1, max: 2}"), ("search.parameters.time", 5, "cannot be repeated")),
    wrong(
        "AutoBatch at the end of a range",
        axis("batch", "{min: -1, max: 8}"),
        ("search.parameters.batch", 5, "among values: only"),
    ),
    *(
        wrong(
            f"{name} of an earlier release",
            HEAD + f"train: {{{name}: true}}\n",
            (f"train.{name}", 5, "predict or export"),
        )
        for name in ("half", "int8", "end2end")
    ),
    wrong("arrays beside the images", HEAD + "train: {cache: disk}\n", ("train.cache", 5, "writes arrays beside")),
    wrong(
        "images of val as a choice",
        axis("fraction", "{values: [[1.0, 0.5], [1.0, 1.0]]}"),
        ("search.parameters.fraction", 5, "decides how many images of val count"),
    ),
    wrong("of predict", HEAD + "train: {show: true}\n", ("train.show", 5, "predict or export")),
    wrong(
        "neither a batch nor AutoBatch",
        HEAD + "train: {batch: -2}\n",
        ("train.batch", 5, "or -1 or a share such as 0.7"),
    ),
    wrong(
        "AutoBatch by share",
        axis("batch", "{min: 0.2, max: 0.9}"),
        ("search.parameters.batch", 5, "among values: only"),
    ),
    wrong("no epochs", HEAD + "train: {epochs: 0}\n", ("train.epochs", 5, "from 1 up")),
    wrong(
        "grace as long as the training",
        TOP + "train: {epochs: 5}\nsearch: {grace_epochs: 5, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.grace_epochs", 5, "search.pruner: none"),
    ),
    wrong(
        "epoch budget below one trial",
        TOP + "train: {epochs: 30}\nsearch: {epoch_budget: 20, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.epoch_budget", 5, "raise it or train shorter"),
    ),
    wrong(
        "metric typo",
        TOP + "search: {metric: metrics/mAP50-95, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.metric", 4, "metrics/mAP50-95(B)?"),
    ),
    wrong(
        "loss upwards",
        TOP + "search: {metric: val/box_loss, parameters: {box: {min: 4, max: 9}}}\n",
        ("search.mode", 4, "mode: min"),
    ),
    wrong(
        "score downwards",
        TOP + "search: {mode: min, metric: metrics/mAP50(B), parameters: {box: {min: 4, max: 9}}}\n",
        ("search.mode", 4, "mode: max"),
    ),
    wrong(
        "grid over a range",
        TOP + "search: {searcher: grid, parameters: {box: {min: 4.0, max: 9.0}}}\n",
        ("search.parameters.box", 4, "give values"),
    ),
    wrong(
        "grid over a billion points",
        TOP + "search: {searcher: grid, parameters: {box: {min: 0, max: 1000000000}}}\n",
        ("search.parameters.box", 4, "a range of 1000000001 has too many grid points; give values"),
    ),
    wrong(
        "pipeline not defined",
        HEAD + "train: {augmentations: soft}\naugmentations: {softly: []}\n",
        ("train.augmentations", 5, "did you mean softly?"),
    ),
    wrong(
        "pipeline of a built-in name", HEAD + "augmentations: {none: []}\n", ("augmentations.none", 5, "another name")
    ),
    wrong(
        "two transforms in a step",
        HEAD + "augmentations:\n  a:\n    - {Blur: {}, CLAHE: {}}\n",
        ("augmentations.a[0]", 7, "must name one transform"),
    ),
    wrong(
        "toy",
        HEAD.replace("yolo26n.pt", "toy/red").replace("box", "lr0").replace("4.0, max: 9.0", "0.1, max: 0.9")
        + "train: {mosaic: 0.5}\n",
        ("train.mosaic", 5, "which has epochs"),
    ),
]

TOGETHER = [
    wrong(
        "shape and rules together",
        HEAD + "seed: -1\ntrain: {lr0: 0.5, erasing: 0.1}\nstorage: http://x\n",
        ("seed", 5, "0 or more"),
        ("train.lr0", 6, "set train.optimizer"),
        ("train.erasing", 6, "classify"),
        ("storage", 7, "folder"),
    ),
    wrong(
        "a wrong task hides no other fault and invents none",
        TOP + "task: detct\ntrain: {erasing: 0.1, mosaic: 0.5, epoch: 3, lr0: 0.2}\n"
        "search: {parameters: {box: {min: 4, max: 9}}}\n",
        ("task", 4, "detect?"),
        ("train.epoch", 5, "train.epochs?"),
        ("train.lr0", 5, "set train.optimizer"),
    ),
    wrong(
        "an axis both unknown and incomplete",
        axis("lrr", "{min: 0.1}"),
        ("search.parameters.lrr", 5, "max is missing"),
        ("search.parameters.lrr", 5, "did you mean"),
    ),
    wrong(
        "a faulty optimizer axis blames no other argument",
        TOP + "search: {parameters: {optimizer: {min: 3}, lr0: {min: 0.1, max: 0.2}}}\n",
        ("search.parameters.optimizer", 4, "max is missing"),
    ),
    wrong("override", HEAD, ("search.trials", None, "whole number"), overrides=("search.trials=many",)),
    wrong("override adds an unknown key", HEAD, ("train.epoch", None, "train.epochs?"), overrides=("train.epoch=3",)),
    wrong(
        "override and file",
        HEAD + "seed: -1\n",
        ("keep_top", None, "1 or more"),
        ("seed", 5, "0 or more"),
        overrides=("keep_top=0",),
    ),
    wrong(
        "override repairs nothing else",
        HEAD + "train: {epochs: 0, lr0: 0.5}\n",
        ("train.lr0", 5, "optimizer"),
        overrides=("train.epochs=5",),
    ),
]

ALL = [*SPACES, *SYNTAX, *UNKNOWN, *VALUES, *AXES, *LINT, *TOGETHER]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
@pytest.mark.slow
def test_is_refused_with_every_fault(case: Wrong, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(case.text)
    with pytest.raises(ExperimentError) as caught:
        load_experiment(file, case.overrides)
    found = caught.value
    assert found.exit_code == 3
    assert sorted((fault.key, fault.line or 0) for fault in found.faults) == sorted(
        (key, line or 0) for key, line, _ in case.faults
    ), found
    for key, line, way_out in case.faults:
        assert any((fault.key, fault.line) == (key, line) and way_out in fault.message for fault in found.faults), found
    assert str(found).startswith(f"experiment.yaml has {len(case.faults)} problem")
    assert "Input should" not in str(found), "pydantic's own words reach the user"


TOY_HEAD = HEAD.replace("yolo26n.pt", "toy/red").replace("box: {min: 4.0, max: 9.0}", "lr0: {min: 0.001, max: 0.1}")
THROUGH_THE_COMMAND = [
    *SYNTAX,
    *AXES,
    wrong("unknown sample, alone", TOY_HEAD.replace("data.yaml", "sample:car-park"), ("data", 3, "sample:parking")),
    wrong("data from the web, alone", TOY_HEAD.replace("data.yaml", "https://x.org/a.zip"), ("data", 3, "download")),
]


@pytest.mark.parametrize("case", THROUGH_THE_COMMAND, ids=lambda case: case.id)
def test_the_command_refuses_it_with_code_3_and_writes_nothing(
    case: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.yaml").write_text(case.text)
    done = CliRunner().invoke(app, ["run", "experiment.yaml", *case.overrides])
    assert done.exit_code == 3, done.output
    assert isinstance(done.exception, SystemExit), "a traceback reaches the user"
    for key, line, way_out in case.faults:
        place = f"{key} (line {line}): " if line else key
        assert any(text.strip().startswith(place) and way_out in text for text in done.stderr.splitlines()), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.yaml"]


def test_there_are_many_different_cases() -> None:
    assert len({case.id for case in ALL}) == len(ALL) >= 45


@pytest.mark.parametrize("override", ["trials", "=3", "search..trials=3", "name.deeper=3", "name=[1"])
def test_an_override_that_is_none_is_a_usage_error(override: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(HEAD)
    with pytest.raises(UsageError) as caught:
        load_experiment(file, [override])
    assert caught.value.exit_code == 2
    assert override in str(caught.value)


def test_a_missing_or_unreadable_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="yolosweep init"):
        load_experiment(tmp_path / "nothing.yaml")
    with pytest.raises(UsageError, match="is a folder, not an experiment"):
        load_experiment(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\n")
    with pytest.raises(UsageError, match=r"not UTF-8 \(byte 7\); save it as UTF-8"):
        load_experiment(tmp_path / "latin.yaml")


def test_a_file_over_one_mebibyte_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_text("# " + "x" * (1 << 20))
    with pytest.raises(ExperimentError, match="over 1 MiB"):
        load_experiment(file)


def test_faults_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(HEAD + "train: {epoch: 3}\nseed: -1\nstorage: http://x\n")
    with pytest.raises(ExperimentError) as caught:
        load_experiment(file)
    assert [fault.line for fault in caught.value.faults] == [5, 6, 7]


def test_refusing_a_file_imports_no_heavy_library(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(HEAD + "train: {epoch: 3}\nseed: -1\n")
    code = (
        "import sys\n"
        "from yolosweep.errors import ExperimentError\n"
        "from yolosweep.experiment import load_experiment\n"
        "try:\n"
        "    load_experiment(sys.argv[1])\n"
        "except ExperimentError as error:\n"
        "    print(len(error.faults))\n"
        "print(*sorted({'ray', 'torch', 'ultralytics', 'wandb', 'optuna', 'cv2', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["2", ""]
