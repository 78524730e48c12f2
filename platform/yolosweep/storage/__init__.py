"""Object storage that holds run folders: its objects, the hold on a run, and the segments of a ledger."""

from yolosweep.storage.lease import Lease, check_hold
from yolosweep.storage.objects import Objects, base_and_name, cached_at, joined
from yolosweep.storage.patience import outages
from yolosweep.storage.segments import Segments, pull

__all__ = ["Lease", "Objects", "Segments", "base_and_name", "cached_at", "check_hold", "joined", "outages", "pull"]
