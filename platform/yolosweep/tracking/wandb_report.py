"""A W&B report of one sweep: verdict, scores, classes and panels. It needs ``wandb-workspaces``, as the view does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from yolosweep.errors import UsageError
from yolosweep.ledger import RunFolder
from yolosweep.ledger.history import History
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.wandb import WandbSink
from yolosweep.tracking.wandb_views import is_available, panels_of
from yolosweep.tracking.winner_pictures import picture_key
from yolosweep.tracking.winner_values import classes_of, winner_of

__all__ = ["report_of", "save_report"]


def save_report(folder: RunFolder) -> str:
    """Save a new report of a sweep that was sent to W&B, and return its address.

    Raises:
        UsageError: the library or the key is missing, the sweep has no winner or was not sent, or W&B refuses.
    """
    if not is_available():
        raise UsageError("track report: it needs wandb-workspaces; pip install 'yolosweep[wandb-views]'")
    sink = WandbSink()
    sink.require_ready(os.environ)
    page = MirrorState.load(folder, sink.name, sink.address({}, os.environ)).url
    if page is None:
        raise UsageError(f"track report: {folder.sweep} is not at W&B; `yolosweep track push {folder.named}` sends it")
    entity, project = map(unquote, urlsplit(page).path.strip("/").split("/")[:2])
    history = History.of(folder)
    if history.winner is None:
        raise UsageError(f"track report: {folder.sweep} has no winner; `yolosweep best {folder.named}` selects one")
    report = report_of(history, entity, project)
    try:
        return str(report.save().url)
    except Exception as error:
        key = os.environ.get("WANDB_API_KEY") or "\0"
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300].replace(key, "***")
        raise UsageError(f"track report: W&B did not take the report ({text})") from None


def report_of(history: History, entity: str, project: str) -> Any:
    """Return the report of a sweep with a winner as ``wandb_workspaces`` models it."""
    import wandb_workspaces.reports.v2 as wr

    winner, values = history.winner, winner_of(history)
    assert winner is not None
    media = [key for one in winner.pictures if (key := picture_key(one)) is not None and "/t0" not in one.path]
    grids = [
        block
        for name, panels in panels_of(history.experiment.get("search") or {}, sorted(media)).items()
        for block in (
            wr.H2(name),
            wr.PanelGrid(runsets=[wr.Runset(query=history.sweep)], panels=panels),
        )
    ]
    columns, rows = classes_of(history)
    texts = [
        str(values["verdict_text"]),
        str(values.get("verdict_details", "")),
        _table(("", f"winner {winner.trial}", "trial 0"), _scores(values)),
        _table(("parameter", "winner"), ((n.partition("/")[2], v) for n, v in values.items() if _is_setting(n))),
        _table(columns, rows) if rows else "",
        str(values.get("caveats", "")),
    ]
    return wr.Report(
        project=project,
        entity=entity,
        title=history.sweep[:128],
        description=str(values["verdict_text"]),
        blocks=[*(wr.MarkdownBlock(text) for text in texts if text), *grids],
    )


def _is_setting(name: str) -> bool:
    return name.startswith("winner/") and name.count("/") == 1


def _scores(values: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    of_winner = (name.removeprefix("winner/") for name in values if name.startswith(("winner/val/", "winner/test/")))
    scored = [name for name in of_winner if not name.endswith(("_low", "_high"))]
    return [(name, _scored(values, f"winner/{name}"), _scored(values, f"trial0/{name}")) for name in scored]


def _scored(values: dict[str, Any], name: str) -> Any:
    """Return a score with its interval, if it has one."""
    if f"{name}_low" not in values:
        return values.get(name)
    return f"{values[name]:.4g} ({values[f'{name}_low']:.4g} to {values[f'{name}_high']:.4g})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: Any) -> str:
    """Return a value as a cell; names come from the data set, so nothing in them is markup."""
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return "".join(f"\\{letter}" if letter in "|<>`[]*\\" else letter for letter in " ".join(text.split()))
