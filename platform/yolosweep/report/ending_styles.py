"""How each ending of a trial looks: one table for figures, legends, tables and the style sheet."""

from __future__ import annotations

from typing import NamedTuple

from yolosweep.records import Ending

__all__ = ["STYLES", "EndingStyle"]

_RED, _LIGHT_RED = "#b02a37", "#f0808a"


class EndingStyle(NamedTuple):
    """Symbol and colours of one ending."""

    symbol: str
    """Plotly's name of the marker."""
    character: str
    """The same marker as text."""
    light: str
    dark: str
    """Colour in each theme of the page."""


STYLES: dict[str, EndingStyle] = {
    Ending.FINISHED.value: EndingStyle("circle", "●", "#2f66b3", "#6ba3ee"),
    Ending.PATIENCE.value: EndingStyle("diamond", "◆", "#7b57b8", "#b596ee"),
    Ending.PRUNED.value: EndingStyle("x", "✕", "#84909f", "#8d99a8"),
    Ending.CANCELLED.value: EndingStyle("triangle-down", "▼", "#a37a12", "#d9b34a"),
    Ending.DIVERGED.value: EndingStyle("cross", "✚", _RED, _LIGHT_RED),
    Ending.OOM.value: EndingStyle("square", "■", _RED, _LIGHT_RED),
    Ending.FAILED.value: EndingStyle("triangle-up", "▲", _RED, _LIGHT_RED),
    "running": EndingStyle("circle-open", "○", "#1f8f8a", "#4cc5bf"),
}
"""Every :class:`Ending`, and ``running`` for a trial that has none yet."""
