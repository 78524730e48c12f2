"""Datasets: the checks before a sweep, the prepared view that trials train on, splits, and built-in samples."""

from yolosweep.data.checks.data_profile import guess_task as guess_task
from yolosweep.data.checks.data_profile import profile_of as profile_of
from yolosweep.data.checks.dataset_checks import Gate as Gate
from yolosweep.data.checks.dataset_checks import described as described
from yolosweep.data.checks.dataset_checks import examine as examine
from yolosweep.data.checks.dataset_checks import waive as waive
from yolosweep.data.checks.dataset_checks import with_waived as with_waived
from yolosweep.data.model.finding_codes import OUTSIDE as OUTSIDE
from yolosweep.data.prepare.prepared_view import write_view as write_view
from yolosweep.data.source.data_location import copied as copied

__all__ = [
    "OUTSIDE",
    "Gate",
    "copied",
    "described",
    "examine",
    "guess_task",
    "profile_of",
    "waive",
    "with_waived",
    "write_view",
]
