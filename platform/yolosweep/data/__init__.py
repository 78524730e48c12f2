"""The data: reading YOLO layouts, the prepared view with its fingerprint, and the built-in samples."""

from yolosweep.data.prepare import inspect_dataset as inspect_dataset
from yolosweep.data.prepare import prepare_dataset as prepare_dataset

__all__ = ["inspect_dataset", "prepare_dataset"]
