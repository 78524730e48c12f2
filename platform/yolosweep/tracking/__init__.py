"""Mirrors of the ledger at trackers such as Weights & Biases: one process per tracker reads events and sends them.

Trials never talk to a tracker, and nothing is read back from one as truth. Only the mirror process loads a client
library, so importing this package is cheap.
"""

from yolosweep.tracking.mirror import Mirror as Mirror
from yolosweep.tracking.mirror import MirrorResult as MirrorResult
from yolosweep.tracking.mirror import finish_all as finish_all
from yolosweep.tracking.mirror import pages_of as pages_of
from yolosweep.tracking.mirror import push as push
from yolosweep.tracking.mirror import sinks_of as sinks_of
from yolosweep.tracking.mirror import start_mirror as start_mirror
from yolosweep.tracking.sink import Choice as Choice
from yolosweep.tracking.sink_registry import SINKS as SINKS
from yolosweep.tracking.sink_registry import choose_sinks as choose_sinks
from yolosweep.tracking.sink_registry import reach_notes as reach_notes
from yolosweep.tracking.wandb_report import save_report as save_report

__all__ = [
    "SINKS",
    "Choice",
    "Mirror",
    "MirrorResult",
    "choose_sinks",
    "finish_all",
    "pages_of",
    "push",
    "reach_notes",
    "save_report",
    "sinks_of",
    "start_mirror",
]
