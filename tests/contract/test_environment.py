"""What stands in the place of functions of Ultralytics that reach outside of a training."""

from types import SimpleNamespace
from typing import Any

import pytest

from yolosweep.backends.ultralytics.training_environment import enter


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("NVIDIA H100 80GB HBM3", True),
        ("Tesla T4", True),
        ("NVIDIA GeForce RTX 4090", True),
        ("NVIDIA GeForce GTX 1660 Ti", False),
        ("Quadro T2000", False),
    ],
)
def test_mixed_precision_is_judged_as_ultralytics_does_without_its_download(
    name: str, safe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU is only a name here: nothing runs on it."""
    enter()
    import torch
    import ultralytics.engine.trainer as trainer
    from ultralytics.utils import checks

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)

    def on(kind: str) -> Any:
        return SimpleNamespace(parameters=lambda: iter([SimpleNamespace(device=torch.device(kind))]))

    assert trainer.check_amp(on("cuda")) is safe
    assert trainer.check_amp(on("cpu")) is False
    if not safe:  # it judges these by their names alone
        assert checks.check_amp(on("cuda")) is False
