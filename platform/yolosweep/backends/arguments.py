"""Train arguments: what a backend accepts, and what one experiment sets and searches."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ArgumentSpace", "Arguments", "DataTraits", "nearest_name"]


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The train arguments of a backend."""

    defaults: Mapping[str, Any]
    """Every argument with its default. ``epochs``, ``batch`` and ``patience`` are always among them."""
    explanations: Mapping[str, str] = field(default_factory=dict)
    """One sentence per argument, for editors."""
    quiet: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that a sweep sets unless the experiment does: no plots, no console output."""
    owned: Mapping[str, str] = field(default_factory=dict)
    """Arguments that yolosweep sets itself, each with the fix for users who write it under ``train``."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Names in other libraries → name of the same argument here."""
    not_training: frozenset[str] = frozenset()
    """Arguments that are known but have no effect on a training."""
    files: frozenset[str] = frozenset()
    """Arguments that may name a file; a relative path is one from the experiment file."""
    scoring: frozenset[str] = frozenset()
    """Arguments that change how a validation counts, not what the model learns."""
    decades: Mapping[str, float] = field(default_factory=dict)
    """Arguments that the score is most sensitive to → decades over which it typically changes."""
    runtime_only: frozenset[str] = frozenset()
    """Arguments that change how a training runs, never its result; they are no part of a trial's identity."""

    def value(self, settings: Mapping[str, Any], name: str) -> Any:
        """Return an argument of a training: as set, else its default."""
        return settings.get(name, self.defaults.get(name))

    def batch(self, settings: Mapping[str, Any]) -> int:
        """Return the batch of a training; the default where it is not found yet (-1, or a share of the memory)."""
        batch = self.value(settings, "batch")
        return int(batch if batch >= 1 else self.defaults["batch"])

    def imgsz(self, settings: Mapping[str, Any]) -> int:
        """Return the longer side of the images of a training; 0 for a backend without image sizes."""
        value = self.value(settings, "imgsz") or 0
        return int(max(value) if isinstance(value, (list, tuple)) else value)

    def patience(self, settings: Mapping[str, Any]) -> int:
        """Return the early-stopping epochs of a training; 0 disables early stopping."""
        return int(self.value(settings, "patience") or 0)


@dataclass(frozen=True, kw_only=True)
class ArgumentSpace:
    """What one experiment sets and searches: all that a backend's rules need to know of it."""

    model: str
    task: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """The ``train`` section."""
    searched: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The extreme values of each searched argument: all choices, or both ends of a range."""
    pipelines: Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]] = field(default_factory=dict)
    """The ``augmentations`` section."""
    ranks: int = 1
    """Processes that train one trial together."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of the backend's arguments."""

    def values(self, name: str) -> list[Any]:
        """Return the extreme values an argument takes: searched, fixed or default."""
        if name in self.searched:
            return list(self.searched[name])
        return [self.fixed.get(name, self.defaults.get(name))]

    def numbers(self, name: str) -> list[float]:
        """Return the extreme values of an argument that are numbers."""
        return [value for value in self.values(name) if isinstance(value, (int, float))]

    def always(self, name: str, *values: Any) -> bool:
        """Return whether an argument takes no other values than these."""
        return all(value in values for value in self.values(name))

    def key(self, name: str) -> str:
        """Return the key of the experiment file that decides an argument."""
        return f"search.parameters.{name}" if name in self.searched else f"train.{name}"

    @property
    def keys(self) -> dict[str, str]:
        """Key of the experiment file → argument, for everything that is set or searched."""
        fixed = {f"train.{name}": name for name in self.fixed}
        return {**fixed, **{f"search.parameters.{name}": name for name in self.searched}}

    @property
    def epochs(self) -> Any:
        """The planned epochs as written; another rule refuses what is not a whole number."""
        return self.fixed.get("epochs", self.defaults.get("epochs"))


@dataclass(frozen=True, kw_only=True)
class DataTraits:
    """What a backend's rules need to know of the data."""

    train_images: int
    names: Mapping[int, str] = field(default_factory=dict)
    """Classes by number; empty where they are not known."""
    polygons: bool = True
    """Whether any label is a polygon."""
    channels: int = 3
    """Of the images, as trained."""
    kpt_shape: Sequence[int] = ()
    """Number of keypoints, and 2 or 3 values for each; empty without keypoints."""
    flip_idx: Sequence[int] = ()
    """Order of the keypoints in a mirrored image; empty where data.yaml has none."""


def nearest_name(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name closest to a mistyped one, if one is close (``cutoff``: 1 is equal, 0 anything)."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return found[0] if found else None
