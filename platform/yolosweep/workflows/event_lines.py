"""Events of the ledger as plain lines for people."""

from __future__ import annotations

from functools import singledispatch

from yolosweep.records.events import Event, Note, SweepResumed, TrialEnded, TrialResumed, TrialStarted
from yolosweep.records.trial_columns import setting_text

__all__ = ["line_of"]


@singledispatch
def line_of(event: Event) -> str | None:
    """Return the plain line of an event; None for an event that gets none."""
    return None


@line_of.register
def _(event: TrialStarted) -> str:
    request = event.request
    asked = " ".join(f"{name}={setting_text(value)}" for name, value in request.asked.items())
    if request.repeats is not None:
        return f"{request.trial} started: finals, {request.repeats} again with seed {request.seed}: {asked}"
    return f"{request.trial} started: {asked}"


@line_of.register
def _(event: TrialEnded) -> str:
    return f"{event.record.trial} {event.record.ending.value}: {event.record.reason}"


@line_of.register
def _(event: TrialResumed) -> str:
    what = f"resumes from epoch {event.from_epoch + 1}" if event.from_epoch else "restarts"
    return f"{event.trial} {what}: {event.reason}"


@line_of.register
def _(event: SweepResumed) -> str:
    changes = [f"{key} {setting_text(old)} -> {setting_text(new)}" for key, (old, new) in event.changes.items()]
    allowed = [f"different {name} allowed" for name in event.allowed]
    return "; ".join(["resumed", *changes, *allowed])


@line_of.register
def _(event: Note) -> str:
    return f"{event.trial} note: {event.text}" if event.trial else f"note: {event.text}"
