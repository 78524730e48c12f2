"""Every train argument of the installed release has its row: accepted and shown to act, or refused with the fix."""

from __future__ import annotations

import pytest
from tests.tools.argument_effects import EFFECTS, GPU_ONLY, SHOWN_ELSEWHERE
from tests.tools.argument_table import Row, rows

from yolosweep.backends.ultralytics.arguments import train_arguments

ROWS = rows()


def test_no_argument_is_without_a_row_and_no_row_is_silent() -> None:
    assert [row.name for row in ROWS] == list(train_arguments().defaults)
    assert [row.name for row in ROWS if not row.shown or not (row.is_accepted or row.note)] == []


def test_every_accepted_argument_is_shown_in_one_place() -> None:
    shown = [*EFFECTS, *SHOWN_ELSEWHERE, *GPU_ONLY]
    assert sorted(shown) == sorted(row.name for row in ROWS if row.is_accepted)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.is_accepted], ids=lambda row: row.name)
def test_a_refused_argument_names_its_fix(row: Row) -> None:
    assert not row.searched
    assert "; " in row.note or row.note.endswith("remove it")


def test_an_argument_that_cannot_be_searched_can_be_fixed() -> None:
    assert {row.name for row in ROWS if row.fixed and not row.searched} == {
        "epochs", "patience", "classes", "single_cls", "cache", "workers", "verbose", "plots",
    }  # fmt: skip
