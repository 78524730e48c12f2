"""Checkpoints in the run folder: the newest stay, older ones are deleted beside the training, and trouble is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolosweep.backends.checkpoints import Checkpoints
from yolosweep.records import TrialPolicy, TrialRequest


def of_a_trial(folder: Path) -> Checkpoints:
    request = TrialRequest(
        sweep="s", trial="t0000", number=0, task="detect", model="m", data="d", settings={}, asked={}, identity="i",
        metric="m", folder=str(folder), policy=TrialPolicy(keep_checkpoints=2),
    )  # fmt: skip
    return Checkpoints(request)


def test_the_newest_stay_and_the_others_are_gone_once_it_has_settled(tmp_path: Path) -> None:
    checkpoints = of_a_trial(tmp_path)
    for epoch in range(1, 6):
        checkpoints.store(epoch, bytes([epoch]), None)
        checkpoints.tidy()
    checkpoints.settle()
    kept = sorted((tmp_path / "trials" / "t0000" / "checkpoints").iterdir())
    assert [(one.name, one.read_bytes()) for one in kept] == [("a00-e0004.state", b"\4"), ("a00-e0005.state", b"\5")]


def test_what_could_not_be_deleted_is_told(tmp_path: Path) -> None:
    checkpoints = of_a_trial(tmp_path)
    checkpoints.store(1, b"1", None)
    stuck = tmp_path / "trials" / "t0000" / "checkpoints" / "a00-e0000.state"
    stuck.mkdir()  # no file that can be unlinked, whoever asks
    checkpoints.tidy()
    with pytest.raises(OSError, match=r"a00-e0000\.state"):
        checkpoints.settle()
    checkpoints.settle()  # told once
    checkpoints.tidy()
    with pytest.raises(OSError, match=r"a00-e0000\.state"):
        checkpoints.tidy()
