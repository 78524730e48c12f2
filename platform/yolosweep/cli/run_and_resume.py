"""``run`` and ``resume``: progress on standard error, the result on standard output."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolosweep import api
from yolosweep.cli.console import print_json
from yolosweep.cli.final_summary import conclude
from yolosweep.cli.terminal_listener import ConsoleListener
from yolosweep.errors import YolosweepError
from yolosweep.ledger import RunFolder
from yolosweep.records.events import Winner

__all__ = ["resume_sweep", "run_sweep"]


def run_sweep(source: Path, overrides: Sequence[str], *, allow: Sequence[str] = (), as_json: bool) -> None:
    """Run an experiment to its end and print the result.

    Raises:
        YolosweepError: a check failed before the first trial, the run was interrupted, or no winner could be selected.
    """
    with _Screen(as_json) as screen:
        api.run(source, *overrides, allow=allow, listener=screen)


def resume_sweep(run: str, overrides: Sequence[str], *, allow: Sequence[str], as_json: bool) -> None:
    """Resume a run from its ledger, run it to its end, and print the result.

    Raises:
        YolosweepError: the run is in use, it would become another sweep, it was interrupted, or no winner could be
            selected.
    """
    with _Screen(as_json) as screen:
        api.open(run).resume(*overrides, allow=allow, listener=screen)


class _Screen(ConsoleListener):
    """Shows a sweep while it runs, and its result at the end, also of one that is interrupted."""

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._result: tuple[RunFolder, Winner | None] | None = None
        # Ray reports dead processes on standard output, which is reserved for the result.
        self._redirected = contextlib.redirect_stdout(sys.stderr)

    def __enter__(self) -> _Screen:
        self._redirected.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.rest()
        self._redirected.__exit__(None, None, None)
        if self._result is None:
            return
        if self._as_json and isinstance(error, YolosweepError):
            error.partial = self._plain_result(*self._result)  # one object, with the error
        else:
            self._print_result(*self._result)

    def ended(self, folder: RunFolder, winner: Winner | None) -> None:
        """Keep the result until standard output is free."""
        self._result = folder, winner

    def _print_result(self, folder: RunFolder, winner: Winner | None) -> None:
        if self._as_json:
            print_json(self._plain_result(folder, winner))
            return
        conclude(folder, api.Sweep(folder).summary, winner, folder.report)

    def _plain_result(self, folder: RunFolder, winner: Winner | None) -> dict[str, Any]:
        return {"run": folder.address, "summary": api.Sweep(folder).summary, "winner": winner}
