"""The data: the gate every dataset passes, the prepared view with its fingerprint, splits, and the built-in samples."""

from yolosweep.data.gate import OUTSIDE as OUTSIDE
from yolosweep.data.gate import Gate as Gate
from yolosweep.data.gate import described as described
from yolosweep.data.gate import examine as examine
from yolosweep.data.gate import let_pass as let_pass
from yolosweep.data.gate import with_allowed as with_allowed
from yolosweep.data.place import copied as copied
from yolosweep.data.view import write_view as write_view

__all__ = ["OUTSIDE", "Gate", "copied", "described", "examine", "let_pass", "with_allowed", "write_view"]
