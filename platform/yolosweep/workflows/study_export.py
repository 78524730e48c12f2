"""The export of a run as an Optuna study."""

from __future__ import annotations

import tempfile
from pathlib import Path

from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History

__all__ = ["export_study"]


def export_study(folder: RunFolder) -> Path:
    """Write the trials of a run into ``study.journal``, replacing an earlier one, and return its path.

    Raises:
        RunFolderError: there is no readable ledger.
    """
    from yolosweep.search.optuna_export import write_study

    history = History.of(folder)
    with tempfile.TemporaryDirectory(prefix="yolosweep-study-") as scratch:
        draft = Path(scratch) / "study.journal"
        write_study(history, draft)
        folder.publish(draft, folder.study)
    return folder.study
