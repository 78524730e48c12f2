"""An experiment while it is collected from a file of another tool, with a remark on each thing that changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yolosweep.backends import DEFAULT_BACKEND, Backend, backend_for
from yolosweep.errors import ExperimentError, Fault
from yolosweep.experiment.fault_messages import check
from yolosweep.experiment.schema import Experiment
from yolosweep.records import DataProfile

__all__ = ["Draft", "Remark"]

_TOP = {"model": "model", "weights": "model", "data": "data", "dataset": "data", "task": "task", "seed": "seed"}
"""Settings of other tools → key at the top level of an experiment."""
_SAME_LENGTH = ("epochs", "patience")
"""Trials of different length cannot be ranked fairly, so these are fixed."""
_NEEDS_OPTIMIZER = ("lr0", "momentum")


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Something that is not in the experiment as it was in the file."""

    key: str
    """The key of the experiment that it is about; empty: of the file as a whole."""
    text: str


@dataclass(kw_only=True)
class Draft:
    """What a file says so far."""

    kind: str
    """What the file is, for people."""
    top: dict[str, Any] = field(default_factory=dict)
    """Keys at the top level: name, task, model, data, seed."""
    train: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    """The search, without its parameters."""
    metric: str | None = None
    """As the other tool calls it."""
    track: dict[str, Any] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def drop(self, what: str, why: str) -> None:
        """Note something of the file that an experiment does not have."""
        self.remarks.append(Remark(key="", text=f"dropped: {what}: {why}"))

    def remark(self, key: str, text: str) -> None:
        """Note what is different at a key."""
        self.remarks.append(Remark(key=key, text=text))

    def fix(self, name: str, value: Any) -> None:
        """Take over a setting that is the same in all trials."""
        argument = _argument(name)
        if argument in _TOP and argument != "seed" and not isinstance(value, str):
            self.drop(f"{name}: {value}", "it is no name")
        elif argument in _TOP:
            self.top.setdefault(_TOP[argument], value)
        elif argument in self.train or argument in self.parameters:
            self.drop(name, f"{argument} is set by another key, too")
        else:
            self.train[argument] = value
            self._renamed(name, f"train.{argument}")

    def vary(self, name: str, entry: dict[str, Any], changed: str = "") -> None:
        """Take over a searched setting.

        Args:
            name: as the other tool calls it.
            entry: a parameter of an experiment.
            changed: what is different in it.
        """
        argument, values = _argument(name), entry.get("values")
        if "value" in entry or (values is not None and len(values) == 1):
            self.fix(name, entry["value"] if values is None else values[0])
        elif argument in _TOP or argument in _SAME_LENGTH or argument in DEFAULT_BACKEND.arguments.runtime_only:
            self._fix_one_of(name, argument, values or [entry["min"], entry["max"]])
        elif argument in self.train or argument in self.parameters:
            self.drop(name, f"{argument} is set by another key, too")
        else:
            self.parameters[argument] = entry
            self._renamed(name, f"search.parameters.{argument}")
            if changed:
                self.remark(f"search.parameters.{argument}", changed)

    def _fix_one_of(self, name: str, argument: str, values: Sequence[Any]) -> None:
        numbers = [value for value in values if isinstance(value, (int, float))]
        chosen = max(numbers, default=values[0]) if argument in _SAME_LENGTH else values[0]
        why = "trials of different length cannot be ranked" if argument in _SAME_LENGTH else "a sweep has one"
        self.fix(name, chosen)
        key = _TOP.get(argument, f"train.{argument}")
        self.remark(key, f"was searched: {', '.join(map(str, values))}; {why}, so {chosen} was taken")

    def _renamed(self, name: str, key: str) -> None:
        if name != key.rpartition(".")[2]:
            self.remark(key, f"was {name}")

    def finish(self, further: Callable[[Experiment], Sequence[Fault]], *, source: str) -> dict[str, Any]:
        """Return the experiment without what its rules refuse; each refusal becomes a remark.

        Args:
            further: rules that need more than the file.
            source: name of the file, for messages.

        Raises:
            ExperimentError: something is wrong that cannot be left out.
        """
        backend = self._complete()
        self._name_metric(backend)
        self._choose_optimizer(backend)
        while True:
            content = self._content()
            exp, faults = check(content)
            if exp is not None and not faults:
                faults = list(further(exp))
            if not faults:
                return content
            if not sum(self._hold_no_gradients(exp, fault) or self._leave_out(fault) for fault in faults):
                raise ExperimentError(source, faults)

    def _complete(self) -> Backend:
        """Fill in model and task; return the backend of the model."""
        task = self.top.get("task")
        if "model" not in self.top:
            known = task if task in DEFAULT_BACKEND.tasks else "detect"
            self.top["model"] = DEFAULT_BACKEND.starter(str(known), DataProfile()).model
            self.remark("model", "the file names none: the smallest one of the task")
        backend = backend_for(str(self.top["model"]))
        if task not in backend.tasks:
            fits = (name for name in backend.tasks if backend.misnamed(str(self.top["model"]), name) is None)
            self.top["task"] = next(fits, "detect")
        return backend

    def _name_metric(self, backend: Backend) -> None:
        """Take the metric that is meant, if the task has it."""
        if self.metric is None:
            return
        metric, known = self.metric, backend.tasks[self.top["task"]]
        loss = metric.startswith("val/") and metric.endswith("loss")
        same = metric if loss else next((name for name in known.metrics if _plain(name) == _plain(metric)), None)
        if same is None:
            self.drop(f"metric {metric}", f"not reported for {self.top['task']}; {known.default_metric} ranks trials")
            return
        self.search["metric"] = same
        if same != metric:
            self.remark("search.metric", f"was {metric}")
        if loss:
            self.search["mode"] = "min"

    def _choose_optimizer(self, backend: Backend) -> None:
        """Set the optimizer where ``auto`` would ignore what is searched, as ``model.tune`` does."""
        searched = [name for name in _NEEDS_OPTIMIZER if name in self.parameters]
        automatic = "optimizer" not in self.parameters and self.train.get("optimizer", "auto") == "auto"
        if searched and automatic and "optimizer" in backend.arguments.defaults:
            self.train["optimizer"] = "AdamW"
            self.remark("train.optimizer", f"was auto, with which {' and '.join(searched)} would have no effect")

    def _content(self) -> dict[str, Any]:
        return {
            **{str(key): self.top[key] for key in ("name", "task", "model", "data", "seed") if key in self.top},
            **({"train": self.train} if self.train else {}),
            "search": {**self.search, "parameters": self.parameters},
            **({"track": self.track} if self.track else {}),
        }

    def _hold_no_gradients(self, exp: Experiment | None, fault: Fault) -> bool:
        """Set ``nbs`` where few images need it; return whether that is what a fault asks for."""
        if exp is None or fault.key != "train.nbs" or "nbs" in self.train:
            return False
        self.train["nbs"] = int(min(exp.space.numbers("batch")))
        self.remark("train.nbs", f"added: {fault.message}")
        return True

    def _leave_out(self, fault: Fault) -> bool:
        """Remove the key that a fault is about; return whether there was one."""
        section, _, rest = fault.key.partition(".")
        places: dict[str, Mapping[str, Any]] = {"train": self.train, "track": self.track, "search": self.search}
        place, name = places.get(section), re.split(r"[.\[]", rest)[0]
        if fault.key.startswith("search.parameters."):
            place, name = self.parameters, re.split(r"[.\[]", fault.key.removeprefix("search.parameters."))[0]
        if not isinstance(place, dict) or name not in place:
            return False
        value = place.pop(name)
        key = f"{section}.{name}"
        self.remarks = [one for one in self.remarks if one.key not in (key, f"search.parameters.{name}")]
        self.drop(f"{name}: {value}", fault.message)
        return True


def _argument(name: str) -> str:
    """Return the train argument that a name of another tool means: nested names end with it."""
    leaf = name.rpartition(".")[2].replace("-", "_")
    return DEFAULT_BACKEND.arguments.aliases.get(leaf, leaf)


def _plain(metric: str) -> str:
    """Return the name of a metric without what differs between tools: ``metrics/mAP_0.5:0.95``, ``mAP50-95(B)``."""
    bare = re.sub(r"\(\w\)$", "", metric.rpartition("/")[2]).lower().replace("_", "")
    return bare.replace("0.5:0.95", "50-95").replace("0.5", "50")
