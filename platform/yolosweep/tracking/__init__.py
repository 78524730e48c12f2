"""Weights & Biases as a mirror of the ledger: one process beside the driver reads events and sends them.

Trials never talk to W&B, and nothing is ever read back from it as truth. ``wandb`` is imported by the mirror process
alone, so importing this room costs nothing.
"""

from yolosweep.tracking.mirror import Mirror as Mirror
from yolosweep.tracking.mirror import MirrorResult as MirrorResult
from yolosweep.tracking.mirror import push as push
from yolosweep.tracking.mirror import start_mirror as start_mirror
from yolosweep.tracking.wandb_mode import Choice as Choice
from yolosweep.tracking.wandb_mode import choose_mode as choose_mode

__all__ = ["Choice", "Mirror", "MirrorResult", "choose_mode", "push", "start_mirror"]
