"""Storage of run folders and data: its objects, the hold on a run, and the segments of a ledger."""

from yolosweep.storage.addresses import Address
from yolosweep.storage.backend import Stored
from yolosweep.storage.lease import Lease, check_hold
from yolosweep.storage.ledger_segments import Segments, pull
from yolosweep.storage.objects import Objects, address_of_run, cached_at
from yolosweep.storage.outage_retry import outages

__all__ = [
    "Address",
    "Lease",
    "Objects",
    "Segments",
    "Stored",
    "address_of_run",
    "cached_at",
    "check_hold",
    "outages",
    "pull",
]
