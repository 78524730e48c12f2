"""The adapter to Optuna's samplers: a new one is a module with one function, such as ``tpe.py``.

Every suggestion has its own random generator, seeded by (seed, trial number, attempt), so the answer depends on what
was observed and not on how often it was asked for. Samplers that write to their study as they are asked (CMA-ES,
NSGA-II) answer from a copy of it; what they write counts when the ledger says that a trial has started.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from yolosweep.experiment import Parameter
from yolosweep.experiment.search_parameter import is_number
from yolosweep.records.objectives import Objective, Values

__all__ = ["OptunaSearcher", "distribution_of"]

_FAR = 1e12
"""How far beyond a limit an unknown value counts."""


class OptunaSearcher:
    """See ``Searcher``.

    Args:
        space: the searched parameters.
        seed: seed of the search.
        mode: ``max`` or ``min``.
        sampler: returns an Optuna sampler for a seed.
        writes: whether the sampler writes to the study as it is asked.
        ordered: whether choices of numbers in rising order are a scale.
    """

    def __init__(
        self,
        space: Mapping[str, Parameter],
        *,
        seed: int,
        mode: str,
        sampler: Callable[[int], optuna.samplers.BaseSampler],
        writes: bool = False,
        ordered: bool = False,
    ) -> None:
        self._space, self._make_sampler, self._seed, self._writes = dict(space), sampler, seed, writes
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._objectives: tuple[Objective, ...] = ()
        self._values: dict[int, Values] = {}
        self._worst = -math.inf if mode == "max" else math.inf
        self._study = _study_of([mode])
        # By name: the order in which a file lists its axes must not change what is drawn.
        self._distributions = {
            name: axis for name, p in sorted(self._space.items()) if (axis := distribution_of(p, ordered)) is not None
        }
        self._running: dict[int, optuna.trial.Trial] = {}

    def aim(self, objectives: Sequence[Objective]) -> None:
        """Search for several objectives; limits are Optuna's constraints."""
        self._objectives = tuple(objectives)
        self._study = _study_of([one.mode for one in objectives if one.limit is None])

    def measured(self, number: int, values: Values) -> None:
        """Keep the values of a trial until it has ended."""
        self._values[number] = values

    def suggest(self, number: int, attempt: int = 0) -> dict[str, Any] | None:
        """Return parameters for trial ``number``."""
        study = copy.deepcopy(self._study) if self._writes else self._study
        study.sampler = self._sampler(number, attempt)
        trial = self._ask(study)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return self._read(trial)

    def started(self, number: int, parameters: Mapping[str, Any]) -> None:
        """Learn that a trial runs with these parameters, so that its neighbours are not suggested meanwhile."""
        self._study.enqueue_trial(self._written(parameters))
        self._study.sampler = optuna.samplers.RandomSampler(seed=0)
        trial = self._running[number] = self._ask(self._study)
        if self._writes:  # Optuna asks no sampler about a point that is given
            sampler, frozen = self._sampler(number, 0), self._study.get_trials(deepcopy=False)[trial.number]
            sampler.sample_relative(self._study, frozen, sampler.infer_relative_search_space(self._study, frozen))

    def tell(self, number: int, used: Mapping[str, Any], score: float | None, *, learned: bool = True) -> None:
        """Learn how a trial ended, with the parameters as really used."""
        trial = self._running.pop(number, None)
        if trial is None:
            return
        complete, failed = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
        values = self._values_of(number, score)
        for one, value in zip(self._objectives, self._values.get(number, ()), strict=False):
            if one.limit is not None:
                trial.set_constraint(one.metric, _FAR if value is None else one.loss(value) - one.loss(one.limit))
        if not learned or values is None:
            self._study.tell(trial, state=failed)
        elif self._read(trial) == {name: used.get(name) for name in self._space}:
            self._study.tell(trial, values)
        else:
            attributes = self._study.trials[trial.number].system_attrs
            self._study.tell(trial, state=failed)
            params = self._written({name: self._nearest(name, used.get(name)) for name in self._space})
            if all(self._distributions[name]._contains(params[name]) for name in params):
                self._study.add_trial(
                    optuna.trial.create_trial(
                        state=complete,
                        params=params,
                        distributions=self._distributions,
                        values=values,
                        system_attrs={name: one for name, one in attributes.items() if name != "fixed_params"},
                    )
                )

    def _values_of(self, number: int, score: float | None) -> list[float] | None:
        """Return the values for Optuna; None where one of several is unknown."""
        if len(self._study.directions) == 1:
            return [self._worst if score is None else score]
        found = zip(self._objectives, self._values.get(number, ()), strict=False)
        values = [value for one, value in found if one.limit is None and value is not None]
        return values if len(values) == len(self._study.directions) else None

    def _nearest(self, name: str, value: Any) -> Any:
        """Return the nearest number of a parameter, e.g. for a batch that was lowered below all that are searched."""
        parameter = self._space[name]
        numbers = all(is_number(one) for one in (value, *parameter.corners()))
        return parameter.nearest(value) if numbers else value

    def _ask(self, study: optuna.Study) -> optuna.trial.Trial:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return study.ask(fixed_distributions=self._distributions)

    def _sampler(self, number: int, attempt: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence([self._seed, number, attempt]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self._make_sampler(seed)

    def _read(self, trial: optuna.trial.Trial | optuna.trial.FrozenTrial) -> dict[str, Any]:
        """Translate Optuna's parameters into the experiment's values."""
        return {name: _value(p, trial.params.get(name)) for name, p in self._space.items()}

    def _written(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Translate the experiment's values into Optuna's parameters (choices are numbered)."""
        written: dict[str, Any] = {}
        for name in self._distributions:
            parameter, value = self._space[name], parameters[name]
            if parameter.kind == "categorical":
                written[name] = next((i for i, v in enumerate(parameter.values or ()) if v == value), -1)
            else:
                written[name] = value
        return written


def _study_of(modes: Sequence[str]) -> optuna.Study:
    return optuna.create_study(directions=["maximize" if mode == "max" else "minimize" for mode in modes])


def distribution_of(parameter: Parameter, ordered: bool = False) -> optuna.distributions.BaseDistribution | None:
    """Return Optuna's distribution of a parameter, of the places of choices; None for a constant."""
    if parameter.kind == "constant":
        return None
    if parameter.kind == "categorical":
        values = parameter.values or []
        if ordered and len(values) > 1 and all(map(is_number, values)) and values == sorted(values):
            return optuna.distributions.IntDistribution(0, len(values) - 1)
        return optuna.distributions.CategoricalDistribution(list(range(len(values))))
    low, high = parameter.corners()
    if parameter.kind == "int" and not parameter.is_log:
        whole = int(parameter.q or 1)
        return optuna.distributions.IntDistribution(low, low + (high - low) // whole * whole, step=whole)
    step = parameter.q if not parameter.is_log else None
    if step is not None:
        high = (parameter.grid() or [high])[-1]
    return optuna.distributions.FloatDistribution(low, high, log=parameter.is_log, step=step)


def _value(parameter: Parameter, drawn: Any) -> Any:
    if parameter.kind == "constant":
        return parameter.value
    if parameter.kind == "categorical":
        return (parameter.values or [None])[drawn]
    if parameter.is_log and parameter.q is not None:
        return parameter.nearest(drawn)
    return drawn
