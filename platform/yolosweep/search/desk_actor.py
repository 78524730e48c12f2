"""The desk as a Ray actor: it takes over the driver's credentials before it opens the run folder."""

from __future__ import annotations

from typing import Any

from yolosweep.cluster import adopt
from yolosweep.search.desk import Desk

__all__ = ["DeskActor"]


class DeskActor(Desk):
    """See :class:`yolosweep.search.desk.Desk`; its process has the node's environment, not the driver's."""

    def __init__(self, root: str, **arguments: Any) -> None:
        adopt()
        super().__init__(root, **arguments)
