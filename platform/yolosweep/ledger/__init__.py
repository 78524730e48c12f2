"""The run folder, local or in an object storage, and its journal: the truth of a sweep."""

from yolosweep.ledger.journal import Ledger, Tail, read_events
from yolosweep.ledger.run_folder import RunFolder, runs_below

__all__ = ["Ledger", "RunFolder", "Tail", "read_events", "runs_below"]
