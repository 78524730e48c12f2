"""Whether a sweep found something better than trial 0: the evidence, and the verdict that every surface shows."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import Field

from yolosweep.records.events import Reference
from yolosweep.records.record import Number, Record

__all__ = ["Comparison", "Evidence", "Finalist", "Outcome", "ScoredTrial", "SeedComparison", "SweepVerdict"]


class Outcome(str, Enum):
    """What can be claimed about the best trial of a sweep."""

    BETTER = "better"
    """Better than trial 0, by more than val can be wrong about."""
    NO_DIFFERENCE = "no difference"
    """No difference to trial 0 that val can resolve."""
    WORSE = "worse"
    """Every other trial is worse than trial 0, or the best of them is worse on test."""
    NOT_LEARNED = "not learned"
    """The best score is one that a model reaches without having learned anything."""
    UNDECIDED = "undecided"
    """Nothing to compare: no score, one trial, or a metric whose noise is unknown; or a gain on a val that leaks, which
    no clean test confirms."""


class ScoredTrial(Record):
    """A trial with a score, as far as the verdict needs it."""

    trial: str
    number: int
    score: float
    weights_bytes: int | None = None
    """Size of ``best.pt``; of one model family it grows with the number of parameters."""
    imgsz: int | None = None


class Finalist(Record):
    """A trial that was trained again with new seeds."""

    trial: str
    number: int
    scores: dict[int, Number]
    """Best score of each repeat that ended, by seed; None where it gave none."""
    curves: dict[int, tuple[Number, ...]] = Field(default_factory=dict)
    """Scores of their epochs."""


class Evidence(Record):
    """What a verdict is made of."""

    metric: str
    mode: str
    ended: bool
    trials: tuple[ScoredTrial, ...]
    """The searched trials, best first."""
    searched: int = 0
    """Number of searched trials with a score, where ``trials`` are the finalists alone."""
    finalists: tuple[Finalist, ...] = ()
    """Trial 0 and the best others, as trained again; empty without finals."""
    winner: str | None = None
    """The trial whose checkpoint, or whose repeat's, is handed over; None before it is selected."""
    checkpoint: str | None = None
    """The trial or repeat that this checkpoint is of."""
    validated: dict[str, Number] = Field(default_factory=dict)
    """The winner's score per split, as validated again."""
    reference: Reference | None = None
    """What the winner was compared with on the same images."""
    images: int = 0
    """Size of val."""
    majority: Number = None
    """Share of the most frequent class in val: what always answering it scores as accuracy."""
    instances: int = 0
    """Labelled objects in val; of classify its images."""
    leaks: dict[str, float] = Field(default_factory=dict)
    off_defaults: dict[str, tuple[Any, Any]] = Field(default_factory=dict)
    """Searched parameters of trial 0 that are not the defaults of the library: default and value."""
    rule: str = ""
    """What selects the winner, where there are several objectives."""
    limits: str = ""
    """The limits that the winner keeps, as comparisons."""
    beyond: str | None = None
    """The values of trial 0 that are beyond a limit: it could not win."""
    outside: int = 0
    """Trials with a score that do not keep the limits; of them, ``trials`` has trial 0 alone, as the last one."""
    is_knee: bool = False
    """Whether the winner is the knee of a front, not the trial with the best score."""
    front: str | None = None
    """What is on the Pareto front, one sentence."""


class Comparison(Record):
    """The best trial and trial 0 on the images of one split."""

    split: str
    images: int
    score: Number
    """Of the trial that the verdict is about."""
    reference_score: Number
    """Of trial 0."""
    difference: Number
    """Positive is better in both modes."""
    low: Number
    high: Number
    """Interval of the difference; None where its noise is unknown."""
    resamples: int = 0
    """Resamples of the images behind the interval; 0: estimated from the number of images alone."""


class SeedComparison(Record):
    """The finals: the best finalist and trial 0, trained again with the same new seeds. Scores are means on val."""

    trial: str
    """The finalist with the best mean beside trial 0."""
    reference: str
    seeds: int
    """New seeds of each finalist."""
    finalists: int
    """Trials beside trial 0."""
    score: float
    reference_score: float
    error: float
    """Standard error of either mean."""
    margin: float
    """Half of the interval of either mean."""
    expected: Number = None
    """What a new training is expected to score: each seed's score of the finalist, and in the epoch, that the other
    seeds chose. The mean of the best is above it, because it was chosen among finalists and epochs."""
    difference: float
    """Positive is better in both modes."""
    low: float
    high: float
    """Simultaneous interval for the best of the finalists."""

    def mean(self, trial: str | None) -> float:
        """Return the mean of one of the two trials."""
        return self.reference_score if trial == self.reference else self.score


class SweepVerdict(Record):
    """The one answer to "is it better?"; terminal, ``--json``, report page and trackers show nothing else."""

    outcome: Outcome
    sentence: str
    """The headline."""
    details: tuple[str, ...] = ()
    """How it was found, ties, and limits, one sentence each."""
    trial: str | None = None
    """The trial it is about: the winner, or the best other trial where trial 0 wins."""
    reference: str | None = None
    """Trial 0, if it has a score."""
    reference_name: str = "the defaults"
    """What to call trial 0: ``the defaults`` only where it used them."""
    comparisons: tuple[Comparison, ...] = ()
    """Val, then test where both were validated on it."""
    seeds: SeedComparison | None = None
    """The finals; None without them."""
    resolution: Number = None
    """Smallest difference on val that counts, given the number of trials."""
    ties: tuple[str, ...] = ()
    """Trials that val cannot tell apart from the best one, best first."""
    cheapest: str | None = None
    """The tie with a smaller model or smaller images, if there is one."""
    optimism: Number = None
    """How much too high the best of the ties is expected to score on val, because it was chosen there."""
    trials: int = 0
    """Trials with a score."""
    leaks: dict[str, float] = Field(default_factory=dict)
    """Share of the images of val and test that are also in another split."""
    off_defaults: dict[str, tuple[Any, Any]] = Field(default_factory=dict)
    """Parameters of trial 0 that are not the defaults: default and value."""

    @property
    def val(self) -> Comparison | None:
        """The comparison that decides."""
        return self.comparisons[0] if self.comparisons else None
