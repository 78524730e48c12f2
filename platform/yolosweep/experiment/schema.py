"""The keys of an experiment file: frozen, strict models with every field explained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from yolosweep.backends import ArgumentSpace, Backend, backend_for
from yolosweep.experiment.constraints import constraint_of
from yolosweep.experiment.search_choices import PRUNERS, SEARCHERS
from yolosweep.experiment.search_parameter import Parameter
from yolosweep.records.objectives import Objective, Select, default_mode
from yolosweep.records.trial_policy import Seconds, TrialPolicy, Whole

__all__ = [
    "MODEL",
    "SAMPLES",
    "SCHEMA_FILE",
    "Experiment",
    "Finals",
    "Mlflow",
    "Resources",
    "Search",
    "TensorBoard",
    "Track",
    "Wandb",
]

SAMPLES = ("sample:parking",)
"""Built-in data sets: drawn into the cache when first used."""

MODEL = "model"
"""The parameter that is no train argument: what a trial starts from."""

SCHEMA_FILE = Path(__file__).with_name("experiment.schema.json")
"""JSON schema of the file, for editors; written by ``python -m yolosweep.experiment.json_schema``."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Number = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)]


def one_of(choices: Mapping[str, object]) -> AfterValidator:
    """Return the check that a word is in a table."""

    def check(value: str) -> str:
        if value not in choices:
            expected = ", ".join(f"'{name}'" for name in choices)
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
        return value

    return AfterValidator(check)


def listed(choices: Mapping[str, object]) -> Any:
    """Return the words of a table for the JSON schema."""
    return Field(json_schema_extra={"enum": list(choices)})


class Finals(_Strict):
    """The end of a sweep: the best trials and trial 0 are trained again with new seeds, the same for each."""

    top: Annotated[Whole, Field(ge=0, le=20)] = 3
    """Trials that are trained again, beside trial 0. 0: no finals."""
    seeds: Annotated[Whole, Field(ge=2, le=20)] = 3
    """New seeds for each of them."""

    @property
    def trainings(self) -> int:
        """Trainings that finals take."""
        return (self.top + 1) * self.seeds if self.top else 0


def _finals(value: object) -> object:
    return Finals(top=0) if value == "none" else value


def _with_none(schema: dict[str, Any]) -> None:
    """Add ``none`` to the JSON schema of the finals."""
    schema["anyOf"] = [*(one for one in schema["anyOf"] if one.get("type") != "null"), {"const": "none"}]


_TRAININGS = re.compile(r"^(\d+(?:\.\d+)?)x$")


def _trainings(value: object) -> object:
    """Refuse what is no number of trainings; hours and trials were moved to their own keys before."""
    if isinstance(value, str) and _TRAININGS.match(value) and float(value[:-1]) >= 1:
        return value
    if (key := _unit(value)) is not None:
        raise ValueError(f"{value} is the same as search.{key}, which is set, too; remove one of the two")
    if value is not None:
        raise ValueError(
            f"{value!r} must be 4x (as much as 4 whole trainings of the defaults, at least 1x), 8h (a duration) or 20 "
            "(trials)"
        )
    return value


def _unit(value: object) -> str | None:
    """Return the key of a budget that is a duration or a number of trials."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "trials"
    return "time_budget" if isinstance(value, str) and re.match(r"^\d+(\.\d+)?\s*[smhd]$", value) else None


def _with_units(schema: dict[str, Any]) -> None:
    """Add numbers of trials to the JSON schema of the budget."""
    schema["anyOf"] = [{"type": "string", "pattern": r"^\d+(\.\d+)?\s*[xsmhd]$"}, {"type": "integer", "minimum": 1}]


def _constraint(text: str) -> str:
    return constraint_of(text).text


class Search(_Strict):
    """What is searched, how, and for how long."""

    budget: Annotated[str | None, BeforeValidator(_trainings), Field(json_schema_extra=_with_units)] = None
    """``4x``: start no trial once as much was trained as 4 whole trainings of the defaults take, by measured seconds.
    ``8h`` is the same as ``time_budget``, and ``20`` the same as ``trials``."""
    trials: Annotated[Whole, Field(ge=1)] | None = None
    """Number of trials, the defaults (trial 0) and the finals included. 20 when no budget is given at all."""
    time_budget: Seconds | None = None
    """Start no trial after this long (``90s``, ``30m``, ``8h``, ``2d``); running trials are cancelled and kept."""
    epoch_budget: Annotated[Whole, Field(ge=1)] | None = None
    """Start no trial once this many epochs were trained in all trials together."""
    metric: str | None = None
    """Metric that ranks trials, picks each ``best.pt`` and drives patience; the task's own by default."""
    mode: Literal["max", "min"] = "max"
    """Whether more or less of the metric is better."""
    objectives: Annotated[tuple[Objective, ...], Field(max_length=5)] = ()
    """In place of ``metric`` and ``mode``, several of them, in the form of W&B's ``metrics``: ``[{metric:
    metrics/mAP50-95(B)}, {metric: latency_ms}]``. The first one ranks the trials. ``{metric: latency_ms, limit: 15}``
    is a condition that the winner keeps."""
    select: Select | None = None
    """Which trial wins among several objectives: ``first``, the default, has the best first objective within all
    limits; ``knee`` is nearest to the best value of each, on the scale of the Pareto front."""
    searcher: Annotated[str, one_of(SEARCHERS), listed(SEARCHERS)] = "gp"
    """What to try next; ``yolosweep docs yaml-reference`` explains each."""
    searcher_options: dict[str, _Number] | None = None
    """Options of the searcher, by name: ``{first: 10}``."""
    pruner: Annotated[str, one_of(PRUNERS), listed(PRUNERS)] = "soft"
    """Which trials to stop, never in their last epoch; ``yolosweep docs yaml-reference`` explains each."""
    pruner_options: dict[str, _Number] | None = None
    """Options of the pruner, by name: ``{chance: 0.05}``."""
    grace_epochs: Annotated[Whole, Field(ge=1)] | None = None
    """No trial is pruned before this epoch. Default: a tenth of ``epochs``, at least 3."""
    reduction_factor: Annotated[Whole, Field(ge=2)] = 3
    """At each rung the best 1/n of the trials continue; rungs are at grace_epochs x n^k."""
    finals: Annotated[Finals | None, BeforeValidator(_finals), Field(json_schema_extra=_with_none)] = None
    """Train the best trials and trial 0 again with new seeds: ``{top: 3, seeds: 3}``, or ``none``. They are part of
    the budget. Default: 3 and 3 where they take at most a fifth of the trials or epochs, else none."""
    warm_start: Annotated[tuple[str, ...], Field(max_length=10)] = ()
    """Run folders or addresses of sweeps that ended, of the same task and classes: their best points are tried first,
    and ``gp`` learns from their trials. Folders are relative to where the command runs."""
    constraints: Annotated[tuple[Annotated[str, AfterValidator(_constraint)], ...], Field(max_length=20)] = ()
    """What every trial satisfies, in terms of train arguments: ``["batch * imgsz**2 <= 16 * 640**2"]``. Arithmetic,
    comparisons, ``and``, ``or``, ``not``."""
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]
    """The search space, one entry per Ultralytics train argument, in the form W&B sweep files use."""

    @model_validator(mode="before")
    @classmethod
    def _by_objective(cls, data: Any) -> Any:
        """Take metric and mode from the first objective, unless they are set."""
        first = (data.get("objectives") or [None])[0] if isinstance(data, dict) else None
        if not isinstance(first, dict) or not isinstance(first.get("metric"), str):
            return data
        own = {"metric": first["metric"], "mode": first.get("mode", default_mode(first["metric"]))}
        return {**own, **{name: value for name, value in data.items() if name not in own or value is not None}}

    @model_validator(mode="before")
    @classmethod
    def _by_unit(cls, data: Any) -> Any:
        """Move a budget in hours or trials to its own key, unless that is set."""
        key = _unit(data.get("budget")) if isinstance(data, dict) else None
        if key is None or data.get(key) is not None:
            return data
        return {**{name: value for name, value in data.items() if name != "budget"}, key: data["budget"]}

    @property
    def trades_off(self) -> bool:
        """Whether there is an objective without a limit beside the one that ranks trials."""
        return any(one.limit is None for one in self.objectives[1:])

    @property
    def trainings(self) -> float | None:
        """The budget in whole trainings of the defaults; None without one."""
        return None if self.budget is None else float(self.budget.removesuffix("x"))

    @property
    def is_open(self) -> bool:
        """Whether there is no budget but the number of trials."""
        return self.time_budget is None and self.epoch_budget is None and self.budget is None


def _share_or_whole(gpus: float) -> float:
    """Refuse 1.5 GPUs: Ray grants shares of one GPU, or whole GPUs."""
    if gpus > 1 and gpus != int(gpus):
        raise ValueError("must be a share of one GPU (0 to 1) or a whole number of GPUs")
    return gpus


Gpus = Annotated[float, Field(strict=True, ge=0), AfterValidator(_share_or_whole)]
"""A share of one GPU, or a whole number of them."""


class Resources(_Strict):
    """What one trial gets. ``auto`` is resolved once, from the cluster, and recorded."""

    gpus_per_trial: Gpus | Literal["auto"] = "auto"
    """0 trains on the CPU, 1 on one GPU, 0.25 puts four trials on one, N trains one trial on N GPUs of one node.
    ``auto``: 1 if the cluster has GPUs, else 0."""
    workers: Annotated[Whole, Field(ge=1)] | None = None
    """Ranks of one trial, each with its own process and GPU, possibly on several nodes; ``batch`` is their sum.
    Default: ``gpus_per_trial`` where that is above 1, on one node; else 1."""
    cpus_per_trial: Annotated[float, Field(strict=True, ge=1)] | Literal["auto"] = "auto"
    """CPU cores of one trial, over all ranks: torch threads on CPU, loader workers on GPU. ``auto``: a fair share."""
    max_concurrent: Annotated[Whole, Field(ge=1)] | None = None
    """Trials at the same time. On an existing cluster this many are requested even if fewer fit now, so machines that
    join later are used. Default: what fits at the start."""

    @property
    def ranks(self) -> int:
        """Processes that train one trial together; 1 where ``gpus_per_trial`` is ``auto``."""
        gpus = 0.0 if self.gpus_per_trial == "auto" else self.gpus_per_trial
        return self.workers or max(1, int(gpus))


class Wandb(_Strict):
    """Weights & Biases: a mirror of the ledger. The API key comes from the environment or netrc, never from here."""

    project: Annotated[str, Field(pattern=r"^[^/\\#?%:]{1,128}$")] | None = None
    """W&B project, without any of ``/ \\ # ? % :``; the experiment's name by default."""
    entity: str | None = None
    """W&B user or team; your default one if not given."""
    mode: Literal["auto", "online", "off"] = "auto"
    """``auto``: online if an API key is found, else off with a note. ``yolosweep track push`` sends later."""
    tags: tuple[str, ...] = ()
    """Tags on every run of the sweep."""


class TensorBoard(_Strict):
    """TensorBoard: a mirror of the ledger in the folder ``tensorboard`` of the run folder."""

    mode: Literal["on", "off"] = "on"
    """``off``: nothing is written until ``yolosweep track push RUN``."""


class Mlflow(_Strict):
    """MLflow: a mirror of the ledger. The server and its credentials come from MLflow's own environment variables
    (``MLFLOW_TRACKING_URI``, ``MLFLOW_TRACKING_TOKEN``…), never from here."""

    experiment: str | None = None
    """MLflow experiment; this experiment's name by default."""
    mode: Literal["auto", "online", "off"] = "auto"
    """``auto``: online if ``MLFLOW_TRACKING_URI`` is set, else off; ``yolosweep track push`` sends later."""


class Track(_Strict):
    """Where results are mirrored to."""

    wandb: Wandb | None = None
    """Mirror to Weights & Biases; nothing is sent without this key."""
    tensorboard: TensorBoard | None = None
    """Write event files for TensorBoard; ``{}`` takes all defaults."""
    mlflow: Mlflow | None = None
    """Mirror to MLflow; nothing is sent without this key."""


class Experiment(_Strict):
    """One experiment: data, model, what to search, budget."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Letters, digits, ``.``, ``_``, ``-``; the run folder starts with it."""
    task: Literal["detect", "segment", "classify", "pose", "obb"] = "detect"
    """What the model predicts."""
    model: Annotated[str, Field(min_length=1)]
    """``yolo26n.pt`` starts from trained weights (recommended), ``yolo26n.yaml`` from scratch; ``toy/red`` is a toy."""
    data: Annotated[str, Field(min_length=1)]
    """An Ultralytics ``data.yaml``, or for classify a folder ``train/<class>/*.jpg``; relative to this file.
    An archive of it, or an address in an object storage (``s3://bucket/set``), is staged on every machine first.
    ``sample:parking`` is built in."""
    seed: Annotated[Whole, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the search and of every training."""
    train: dict[str, Any] = {}
    """Ultralytics train arguments that stay the same in all trials, under their own names."""
    augmentations: dict[str, list[dict[str, dict[str, Any]]]] = {}
    """Named Albumentations pipelines: ``blur: [{Blur: {p: 0.3}}]``. ``none`` and ``default`` always exist."""
    search: Search
    """What is searched."""
    resources: Resources = Resources()
    """What one trial gets."""
    trial: TrialPolicy = TrialPolicy()
    """How one trial is kept alive."""
    storage: Annotated[str, Field(min_length=1)] = "./runs"
    """Folder for run folders, relative to where the command runs; on a cluster one that every node mounts, or an
    address in an object storage (``s3://bucket/sweeps``, ``gs://…``, ``abfs://…``): then nodes share nothing else."""
    keep_top: Annotated[Whole, Field(ge=1)] = 3
    """Checkpoints are kept for this many best trials, for trial 0 and the finalists, and for the best repeat of each;
    the others keep their rows and settings."""
    track: Track = Track()
    """Where results are mirrored to."""

    @property
    def backend(self) -> Backend:
        """The backend that trains the model."""
        return backend_for(self.model)

    def _corners(self, name: str) -> list[Any]:
        """Return the extreme values of a parameter; one with a condition has its default, too."""
        parameter = self.search.parameters[name]
        default = self.backend.arguments.defaults.get(name)
        corners = parameter.corners()
        return [*corners, default] if parameter.when and default not in corners else corners

    @property
    def models(self) -> tuple[str, ...]:
        """All models that trials start from, that of trial 0 first."""
        parameter = self.search.parameters.get(MODEL)
        return tuple(dict.fromkeys([self.model, *map(str, parameter.corners() if parameter is not None else ())]))

    def with_models(self, names: Mapping[str, str]) -> Experiment:
        """Return the experiment with other names for its models, wherever it names them."""

        def renamed(value: Any) -> Any:
            if isinstance(value, list):
                return [renamed(one) for one in value]
            return names.get(value, value) if isinstance(value, str) else value

        parameters = dict(self.search.parameters)
        for name, one in parameters.items():
            change: dict[str, Any] = {}
            if name == MODEL:
                change = {key: renamed(getattr(one, key)) for key in ("value", "values") if key in one.model_fields_set}
            elif one.when and MODEL in one.when:
                change = {"when": {**one.when, MODEL: renamed(one.when[MODEL])}}
            parameters[name] = one.model_copy(update=change)
        search = self.search.model_copy(update={"parameters": parameters})
        return self.model_copy(update={"model": renamed(self.model), "search": search})

    def with_model(self, model: str) -> Experiment:
        """Return the experiment with another model in trial 0."""
        return self.model_copy(update={"model": model})

    @property
    def space(self) -> ArgumentSpace:
        """The train arguments as the backend's rules see them."""
        return ArgumentSpace(
            model=self.model,
            task=self.task,
            fixed=self.train,
            searched={name: self._corners(name) for name in self.search.parameters if name != MODEL},
            pipelines=self.augmentations,
            ranks=self.resources.ranks,
            defaults=self.backend.arguments.defaults,
        )
