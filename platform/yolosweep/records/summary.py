"""What came out of a sweep: the values behind ``show``, ``ls``, ``--json``, the live view and the report page."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from yolosweep.records.diagnosis import Change, Diagnosis
from yolosweep.records.events import Time
from yolosweep.records.importance import Importance
from yolosweep.records.objectives import Objective
from yolosweep.records.record import Number, Record
from yolosweep.records.verdict import SweepVerdict

__all__ = [
    "DamagedRun",
    "EndingCost",
    "NoteSummary",
    "RanOn",
    "Restart",
    "ResumeSummary",
    "RunOverview",
    "Summary",
    "TrialSummary",
    "WinnerSummary",
]


class RanOn(Record):
    """The hardware a trial ran on, and how fast it was; None for what was not measured."""

    host: str | None
    device: str | None
    world_size: int
    """Ranks of the trial."""
    threads: int | None
    """CPU threads of torch in each rank."""
    epoch_seconds: Number
    images_per_s: Number
    """Medians over the epochs: wall time, training images per second."""
    memory_mb: Number
    gpu_memory_mb: Number
    """Peak resident memory of the training process, peak memory allocated on the GPU. MiB."""
    retries: int
    """How often the trial was restarted."""
    recoveries: int
    """Epochs trained again inside the training, after a NaN or an out-of-memory error."""


class Restart(Record):
    """One restart of a trial."""

    from_epoch: int
    """First epoch trained after the restart, counted from 1."""
    cause: str
    reason: str


class TrialSummary(Record):
    """One trial: settings, ending, scores, and where it ran. Excluded fields are not part of ``--json``."""

    trial: str
    number: int
    """0 is the trial of the defaults."""
    repeats: str | None
    """In the finals, the trial that is trained again."""
    seed: int | None
    ending: str
    """A value of :class:`Ending`, or ``running``."""
    reason: str
    score: Number
    """Best score so far."""
    gain: Number
    """Gain over the defaults; positive is better in both modes."""
    best_epoch: int | None
    epochs: int
    """Epochs trained."""
    seconds: float
    gpu_hours: Number
    """GPUs of the whole trial, shares counted as such, times hours; None on CPU."""
    parameters: dict[str, Any]
    """The searched parameters, as really used."""
    used: dict[str, Any]
    ran_on: RanOn
    attempts: tuple[Restart, ...]
    diverged: str | None
    """Evidence of a divergence that raised no error."""
    notes: tuple[str, ...]
    error: str | None
    checkpoint: bool
    """Whether its ``best.pt`` is available."""
    objectives: dict[str, Number] = Field(default_factory=dict)
    """The values of its further objectives."""
    standing: str | None = None
    """``front``: on the Pareto front; ``limit``: beyond a limit, or unknown there; None otherwise."""
    latency: str | None = None
    """How its latency was measured."""
    planned_epochs: int = Field(exclude=True)
    last_score: Number = Field(default=None, exclude=True)
    """Score of the last epoch."""
    checkpoint_path: str | None = Field(default=None, exclude=True)
    """Path of ``best.pt`` relative to the run folder."""


class WinnerSummary(Record):
    """The trial whose checkpoint is in ``winner/``."""

    trial: str
    repeats: str | None
    """The trial that won the finals, if this is one of its repeats."""
    score: Number
    gain: Number
    validated: dict[str, Number]
    """The searched metric per split, as validated again."""


class EndingCost(Record):
    """Trials, epochs and seconds spent on one ending."""

    ending: str
    trials: int
    epochs: int
    seconds: float


class ResumeSummary(Record):
    """When a sweep was resumed, and what differed from before."""

    at: Time
    changes: dict[str, tuple[Any, Any]]
    """Changed settings by dotted key: old and new value."""
    allowed: tuple[str, ...]


class NoteSummary(Record):
    """A note recorded during the sweep, about a trial or the whole sweep."""

    trial: str | None
    text: str


class Summary(Record):
    """The outcome of a sweep; its fields are the keys of ``yolosweep show --json``, in order."""

    sweep: str
    name: str
    status: str
    """``finished``, ``cancelled`` or ``not ended``."""
    reason: str | None
    started_at: Time
    ended_at: Time | None
    metric: str
    mode: str
    best_trial: str | None
    best_score: Number
    """After finals a mean over the new seeds, and so are the next three."""
    baseline_score: Number
    """Score of trial 0; see ``verdict.reference_name`` for whether it used the defaults."""
    gain: Number
    """Measured difference to trial 0; ``verdict`` says whether it counts."""
    gain_percent: Number
    verdict: SweepVerdict
    winner: WinnerSummary | None
    endings: dict[str, int]
    """Number of trials per ending."""
    epochs: int
    trainings: float = 0.0
    """What was trained, in whole trainings of trial 0, by measured seconds."""
    seconds: float
    cost: tuple[EndingCost, ...]
    resumes: tuple[ResumeSummary, ...]
    caveats: tuple[str, ...]
    """What to state wherever a score on these data is shown."""
    warnings: tuple[str, ...]
    """The caveats, and what makes scores hard to compare."""
    trials: tuple[TrialSummary, ...]
    notes: tuple[NoteSummary, ...]
    diagnoses: tuple[Diagnosis, ...]
    """What the sweep and its best trial show, the most consequential first."""
    importance: Importance
    """How much each searched parameter matters."""
    mistakes: str | None
    """What the winner gets wrong, one sentence; None without a winner."""
    objectives: tuple[Objective, ...] = ()
    """What the search is for, where there are several objectives."""
    front: tuple[str, ...] = ()
    """The trials on the Pareto front, best score first."""
    ranking: tuple[str, ...] = ()
    """The searched trials that have a score, best first by the rule that selects the winner."""
    exportable: bool = Field(default=False, exclude=True)
    """Whether there is a winner that ``yolosweep export`` can convert."""

    @property
    def change(self) -> Change | None:
        """The change of the experiment that the most consequential diagnosis asks for."""
        return next((change for diagnosis in self.diagnoses for change in diagnosis.changes), None)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the searched parameters."""
        return tuple(dict.fromkeys(name for trial in self.trials for name in trial.parameters))

    @property
    def best_first(self) -> tuple[TrialSummary, ...]:
        """The ranked trials, whatever their ending, the searched ones without a score, then the repeats."""
        unscored = tuple(trial for trial in self.trials if trial.score is None and trial.repeats is None)
        places = {name: place for place, name in enumerate(self.ranking)}
        sign = -1.0 if self.mode == "max" else 1.0
        scored = sorted(self.scored, key=lambda one: (places.get(one.trial, 0), sign * (one.score or 0.0), one.number))
        repeats = [trial for trial in self.trials if trial.repeats is not None]
        return (*scored, *unscored, *sorted(repeats, key=lambda trial: (trial.repeats or "", trial.number)))

    @property
    def scored(self) -> tuple[TrialSummary, ...]:
        """The searched trials that have a score."""
        return tuple(trial for trial in self.trials if trial.score is not None and trial.repeats is None)


class RunOverview(Record):
    """One run in the list of ``yolosweep ls``."""

    run: str
    """Run folder or address."""
    started: str
    status: str
    trials: int
    metric: str
    best: Number
    best_trial: str | None


class DamagedRun(Record):
    """A run whose ledger cannot be read."""

    run: str
    started: str = ""
    status: str = "damaged"
    fault: str
