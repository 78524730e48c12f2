"""Named Albumentations pipelines: from ``- Blur: {p: 0.3}`` in the YAML to transforms."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from yolosweep.errors import TrainingError

__all__ = ["build_pipeline"]


def build_pipeline(steps: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return a pipeline in Albumentations' own serialised form, which Ultralytics takes and stores in checkpoints.

    Ultralytics only logs a pipeline that cannot be built, and trains without it; so it is built here first.

    Raises:
        TrainingError: a transform or one of its arguments does not exist, or its value is refused.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    built = []
    for step in steps:
        ((name, arguments),) = step.items()
        transform = getattr(albumentations, name, None)
        if not (isinstance(transform, type) and issubclass(transform, albumentations.BasicTransform)):
            raise TrainingError(f"{name} is not an Albumentations transform")
        if name == "Lambda":
            raise TrainingError("Lambda cannot be stored in a checkpoint; choose another transform")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Albumentations only warns of unknown arguments
                built.append(albumentations.to_dict(transform(**arguments)))
        except (TypeError, ValueError, UserWarning) as error:
            raise TrainingError(f"{name}: {' '.join(str(error).split())[:300]}") from error
    return built
