"""Which settings to try next: a thin adapter to Optuna's samplers, and the grid.

Every suggestion has a random generator of its own, seeded by (seed, trial number, try), so the answer depends on what
was observed and not on how often the question was put before.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna

from yolosweep.experiment import Parameter

__all__ = ["OptunaSearcher"]

_STARTUP = 10
"""Trials before TPE takes over from random sampling (Optuna's own default)."""


class OptunaSearcher:
    """Suggests parameters and learns from scores.

    Args:
        space: the searched parameters.
        searcher: ``tpe`` (Bergstra et al. 2011, multivariate as in BOHB), ``random`` or ``grid``.
        seed: seed of the search.
        mode: ``max`` or ``min``.
    """

    def __init__(self, space: Mapping[str, Parameter], *, searcher: str, seed: int, mode: str) -> None:
        self._space, self._searcher, self._seed = dict(space), searcher, seed
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._worst = -math.inf if mode == "max" else math.inf
        self._study = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
        # By name: the order in which a file lists its axes must not change what is drawn.
        self._distributions = {n: d for n, p in sorted(self._space.items()) if (d := _distribution(p)) is not None}
        self._running: dict[int, optuna.trial.Trial] = {}
        self._grid = itertools.product(*(p.grid() or () for p in space.values())) if searcher == "grid" else None

    def suggest(self, number: int, attempt: int = 0) -> dict[str, Any] | None:
        """Return parameters for trial ``number``; None when a grid is used up. Nothing is learned by asking.

        Args:
            number: the trial's number.
            attempt: raised to get another answer after one that was already tried.
        """
        if self._grid is not None:
            point = next(self._grid, None)
            return None if point is None else dict(zip(self._space, point, strict=True))
        self._study.sampler = self._sampler(number, attempt)
        trial = self._ask()
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return self._read(trial)

    def started(self, number: int, parameters: Mapping[str, Any]) -> None:
        """Take note that a trial runs with these parameters: others should not be suggested beside it."""
        if self._grid is None:
            self._study.enqueue_trial(self._written(parameters))
            self._study.sampler = optuna.samplers.RandomSampler(seed=0)
            self._running[number] = self._ask()

    def tell(self, number: int, used: Mapping[str, Any], score: float | None, *, learned: bool = True) -> None:
        """Report how a trial went, with the parameters really used.

        Args:
            number: the trial's number.
            used: parameters as really used; where they differ from the asked ones, these are what is learned.
            score: best score; None counts as worst.
            learned: False where the trial says nothing about its parameters (its worker died).
        """
        trial = self._running.pop(number, None)
        if trial is None:
            return
        complete, failed = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
        value = self._worst if score is None else score
        if not learned:
            self._study.tell(trial, state=failed)
        elif self._read(trial) == {name: used.get(name) for name in self._space}:
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=failed)
            params = self._written(used)
            if all(self._distributions[name]._contains(params[name]) for name in params):
                self._study.add_trial(
                    optuna.trial.create_trial(
                        state=complete, params=params, distributions=self._distributions, value=value
                    )
                )

    def learned(self) -> list[tuple[dict[str, Any], float]]:
        """Return what the searcher knows: parameters as really used, with their scores."""
        complete = (optuna.trial.TrialState.COMPLETE,)
        known = self._study.get_trials(deepcopy=False, states=complete)
        return [(self._read(trial), float(trial.values[0])) for trial in known]

    def _ask(self) -> optuna.trial.Trial:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self._study.ask(fixed_distributions=self._distributions)

    def _sampler(self, number: int, attempt: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence([self._seed, number, attempt]).generate_state(1)[0])
        if self._searcher == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=seed, multivariate=True, constant_liar=True, n_startup_trials=_STARTUP
            )

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


def _distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution | None:
    """Return Optuna's word for an axis; None for a constant."""
    if parameter.kind == "constant":
        return None
    if parameter.kind == "categorical":
        return optuna.distributions.CategoricalDistribution(list(range(len(parameter.values or ()))))
    low, high = parameter.corners()
    if parameter.kind == "int":
        return optuna.distributions.IntDistribution(low, high)
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
