"""Whether a run is still the same sweep."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from yolosweep.errors import RunFolderError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.workflows.progress_listener import LogListener
from yolosweep.workflows.resume_checks import check_again


@pytest.fixture
def folder(repository: Path, parking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that version 0.1 wrote."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(parking.parents[2]))
    shutil.copytree(repository / "tests" / "fixtures" / "run_v1", tmp_path / "run")
    return RunFolder(tmp_path / "run")


def test_keys_that_an_earlier_version_did_not_have_are_no_change(folder: RunFolder) -> None:
    allow = ("versions", "data")
    _, about = check_again(folder, History.of(folder), ["search.budget=9x"], allow, LogListener())
    assert about["changes"] == {"search.budget": [None, "9x"]}


@pytest.mark.parametrize("key", ["search.constraints=[lr0 < 1]", "search.searcher_options={first: 3}"])
def test_another_search_is_refused(key: str, folder: RunFolder) -> None:
    with pytest.raises(RunFolderError, match=f"{key.partition('=')[0]}.* that is another experiment"):
        check_again(folder, History.of(folder), [key], ("versions", "data"), LogListener())
