"""The sinks that a sweep can be mirrored to."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from yolosweep.experiment.schema import Track
from yolosweep.tracking.mlflow import MlflowSink
from yolosweep.tracking.sink import Choice, Sink
from yolosweep.tracking.tensorboard import TensorBoardSink
from yolosweep.tracking.wandb import WandbSink

__all__ = ["SINKS", "choose_sinks", "reach_notes"]

SINKS: dict[str, Sink] = {
    "wandb": WandbSink(),
    "tensorboard": TensorBoardSink(),
    "mlflow": MlflowSink(),
}
"""By name; the first one is the default of ``yolosweep track push``."""


def choose_sinks(track: Track, environ: Mapping[str, str]) -> tuple[Choice, ...]:
    """Decide for every sink whether to mirror a sweep.

    Raises:
        UsageError: the experiment requires a sink whose credentials are missing.
    """
    return tuple(sink.choose(track, environ) for sink in SINKS.values())


def reach_notes(track: Track, environ: Mapping[str, str], *, timeout_s: float = 3.0) -> tuple[str, ...]:
    """Return a note on each tracker with a server: whether it answers. No sweep waits for one, so none is an error."""
    sections = {name: getattr(track, name, None) for name in SINKS}
    addresses = {
        SINKS[name].title: SINKS[name].address(section.model_dump(mode="json"), environ)
        for name, section in sections.items()
        if section is not None and section.mode != "off"
    }
    return tuple(
        _reach_note(title, address, timeout_s)
        for title, address in addresses.items()
        if address.startswith(("http://", "https://"))
    )


def _reach_note(title: str, url: str, timeout_s: float) -> str:
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=timeout_s).close()
    except OSError as error:
        return (
            f"{title} at {url} does not answer ({error}); results are kept, `yolosweep track push RUN` sends them later"
        )
    return f"{title} at {url} answers"
