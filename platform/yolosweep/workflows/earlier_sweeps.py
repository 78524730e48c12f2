"""Reading the earlier sweeps that ``search.warm_start`` names."""

from __future__ import annotations

from yolosweep.errors import Fault, RunFolderError
from yolosweep.experiment import Experiment
from yolosweep.ledger import RunFolder, read_events
from yolosweep.records import PreparedDataset
from yolosweep.records.earlier_trial import EarlierTrial
from yolosweep.search.warm_start import EarlierSweep

__all__ = ["earlier_trials"]

_LARGEST = 128 << 20
"""Bytes of a ledger that is read: about 150,000 epochs."""


def earlier_trials(exp: Experiment, data: PreparedDataset) -> tuple[tuple[EarlierTrial, ...], list[str], list[Fault]]:
    """Return the trials of earlier sweeps that the search starts from, a note on each sweep, and what is wrong.

    Args:
        exp: the resolved experiment.
        data: its data.
    """
    trials, notes, faults = list[EarlierTrial](), list[str](), list[Fault]()
    for place, run in enumerate(exp.search.warm_start):
        try:
            sweep = _read(run)
            refusal = sweep.refusal(exp, data)
        except RunFolderError as error:
            refusal = str(error)
        if refusal is not None:
            faults.append(Fault(key=f"search.warm_start[{place}]", message=f"{run} cannot be used: {refusal}"))
            continue
        trials += sweep.trials(exp, data)
        notes.append(sweep.summary(exp, data))
    return tuple(trials), notes, faults


def _read(run: str) -> EarlierSweep:
    folder = RunFolder.open(run)
    if folder.ledger.stat().st_size > _LARGEST:
        raise RunFolderError(f"its ledger is larger than {_LARGEST >> 20} MiB")
    return EarlierSweep(folder.sweep, read_events(folder.ledger))
