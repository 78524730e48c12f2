"""Weights & Biases runs in the mirror process: the SDK opens them, sends what it is given, and finishes them.

The SDK does nothing else: no console capture, no git, no code, no system metrics, no machine details. Its working files
are in a temporary folder of the mirror process.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolosweep.records import FileRef
from yolosweep.storage.atomic_files import sha256_of
from yolosweep.tracking.sink import (
    Artifact,
    Close,
    Destination,
    Message,
    NotSent,
    Open,
    Outcome,
    Row,
    Summary,
    Table,
    translated,
)
from yolosweep.tracking.wandb_sweep import SweepState, WandbSweep, api_of, sweep_config
from yolosweep.tracking.wandb_views import is_available, make_view
from yolosweep.tracking.winner_pictures import picture_key

__all__ = ["WandbConnection"]

_REFUSED = re.compile(r"AuthenticationError|\b40[13]\b|permission denied|api key", re.IGNORECASE)
_EXIT_CODES = {"finished": 0, "failed": 1, "cancelled": 255}
"""W&B shows 0 as *finished*, 255 (what the SDK sends for Ctrl-C) as *killed*, and anything else as *failed*."""
_SWEEP_STATES: dict[Outcome, SweepState] = {"finished": "FINISHED", "failed": "CANCELED", "cancelled": "CANCELED"}
_OF_OTHERS = ("score", "best_score", "best_trial", "gain_over_defaults", "ledger_seq")
"""What the sweep's rows say of trials so far: history, but no headline, which is the winner's; so ``best/…``, too."""
_INIT_TIMEOUT_S = 20.0
_FINISH_TIMEOUT_S = {"trial": 60.0, "sweep": 600.0}
"""A trial's run carries numbers; the sweep's run uploads the winner's checkpoint."""


class WandbConnection:
    """W&B runs that are open in this process, many at a time.

    Args:
        destination: where to.
        witness: run that joined the W&B sweep if any did.
        offline: write run folders below ``wandb`` in the run folder, and ask no server.
    """

    def __init__(self, destination: Destination, *, witness: str = "", offline: bool = False) -> None:
        self._destination, self._offline = destination, offline
        section = destination.section
        self._project = section.get("project") or destination.experiment
        self._entity = section.get("entity") or os.environ.get("WANDB_ENTITY")
        self._sweep = WandbSweep(
            folder=destination.folder,
            server=destination.address,
            entity=self._entity,
            project=self._project,
            config=None if offline else sweep_config(destination.sweep, destination.search),
            witness=witness,
        )
        self._media: tuple[str, ...] = ()
        """Names of the winner's pictures."""
        self._runs: dict[str, Any] = {}
        self.url: str | None = None
        self.warnings: dict[str, str] = {}
        self.note: str | None = None

    def open(self, opening: Open, *, closes: bool) -> int:
        """Open a run and return the last history step the server has."""
        with _translated():
            joined = self._join(opening)
            run = self._runs[opening.run] = self._init(opening, self._settings(opening, closes, joined))
            self.url = run.project_url or self.url
            axis = "trials_ended" if opening.kind == "sweep" else "epoch"
            run.define_metric(axis)
            run.define_metric("*", step_metric=axis)
            if opening.kind == "sweep":
                searched = self._destination.search.get("parameters") or {}
                for name in (*_OF_OTHERS, *(f"best/{parameter}" for parameter in searched)):
                    run.define_metric(name, step_metric=axis, summary="none")
        # The run's summary cannot be used: the SDK sends it before the history, and may die in between.
        return int(run.starting_step) - 1

    def _join(self, opening: Open) -> str | None:
        """Return the W&B sweep that a trial's run joins; the sweep's own run joins none, but makes it go on."""
        if opening.kind == "sweep":
            self._sweep.enter("RUNNING")
        joined = self._sweep.join()
        self.note = self._sweep.note
        return joined if opening.kind == "trial" else None

    def _settings(self, opening: Open, closes: bool, joined: str | None) -> Any:
        import wandb

        return wandb.Settings(
            mode="offline" if self._offline else "online",
            **({} if self._offline else {"base_url": self._destination.address}),
            root_dir=str(self._destination.folder.root if self._offline else self._destination.scratch),
            symlink=False,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            disable_job_creation=True,
            label_disable=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            silent=True,
            init_timeout=_INIT_TIMEOUT_S,
            finish_timeout=_FINISH_TIMEOUT_S[opening.kind],
            finish_timeout_raises=True,
            stop_fn=_ignore_stop_button,
            sweep_id=joined,
            x_update_finish_state=closes or self._destination.follow,
        )

    def _init(self, opening: Open, settings: Any) -> Any:
        import wandb

        return wandb.init(
            project=self._project,
            entity=self._entity,
            id=opening.run,
            name=opening.name if opening.kind == "sweep" else f"{opening.sweep}/{opening.name}",
            group=opening.sweep,
            job_type=opening.kind,
            tags=list(opening.tags),
            config=opening.config,
            reinit="create_new",
            resume="allow",
            settings=settings,
        )

    def send(self, run: str, messages: Sequence[Message]) -> None:
        """Hand messages to the SDK, which sends them in the background."""
        with _translated():
            for message in messages:
                self._send(self._runs[run], message)

    def _send(self, run: Any, message: Message) -> None:
        if isinstance(message, (Row, Table)):
            run.log(_history(message), step=message.step, commit=True)
        elif isinstance(message, Summary):
            run.summary.update(message.values)
        elif isinstance(message, Artifact):
            self._upload(run, message)
        elif isinstance(message, (Open, Close)):
            run.tags = message.tags
            run.config.update(message.config, allow_val_change=True)
            if isinstance(message, Close):
                if ending := message.summary.get("ending"):
                    run.config.update({"ending": ending}, allow_val_change=True)  # panels group by settings alone
                run.summary.update(message.summary)

    def _upload(self, run: Any, message: Artifact) -> None:
        """Upload the winner and its pictures; W&B makes no new version of equal contents."""
        import wandb

        self.warnings.pop(message.name, None)
        pictures = {picture_key(one): one for one in message.pictures}
        images = {
            key: wandb.Image(str(path), caption=path.stem)
            for key, one in sorted(pictures.items())
            if key is not None and (path := self._unchanged(one)) is not None
        }
        self._media = tuple(images)
        if images:
            run.log(images, step=message.seq)
        path = self._unchanged(message.file)
        if path is None:
            self.warnings[message.name] = (
                f"{message.file.path} was not uploaded: it is missing, or differs from what the ledger recorded"
            )
            return
        artifact = wandb.Artifact(message.name, type="model", metadata=dict(message.metadata))
        artifact.add_file(str(path), name="best.pt", skip_cache=True, policy="immutable")
        if not self._offline and message.dataset:  # the SDK refuses it offline
            self._use_data(run, message.dataset)
        run.log_artifact(artifact, aliases=["best", self._destination.sweep])

    def _use_data(self, run: Any, dataset: Mapping[str, Any]) -> None:
        """Link the model to its data: an artifact of its own that holds the fingerprint, the same for all sweeps."""
        import wandb

        data = wandb.Artifact(f"data-{dataset['fingerprint'][:16]}", type="dataset", metadata=dict(dataset))
        with data.new_file("dataset.json") as file:
            json.dump(dataset, file, indent=2, sort_keys=True)
        try:
            run.use_artifact(data)
        except Exception as error:  # the model is worth more than its link
            print(f"the data set was not linked to the model: {_without_key(str(error))}")

    def _unchanged(self, file: FileRef) -> Path | None:
        """Return where a recorded file is; None where it is missing or was changed."""
        path = self._destination.folder.resolve(file)
        return path if path.is_file() and sha256_of(path) == file.sha256 else None

    def finish(self, run: str, close: Close | None) -> None:
        """Close a run, once everything sent has arrived; one whose trial continues ends as killed."""
        open_run = self._runs.pop(run)
        log, is_sweep = Path(open_run.settings.log_internal), open_run.job_type == "sweep"
        with _translated():
            open_run.finish(exit_code=_EXIT_CODES[close.outcome if close else "cancelled"])
            _raise_for_lost_data(log)
            if is_sweep and (close is not None or self._destination.follow):
                self._sweep.enter(_SWEEP_STATES[close.outcome] if close else "PAUSED")
        if is_sweep and close is not None and not self._offline:
            self._show(open_run)
        home = log.parent.parent
        for folder in (home / "logs", home / "tmp") if self._offline else (home,):
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)

    def _show(self, run: Any) -> None:
        """Save the project's view once; a project without one lacks nothing."""
        try:
            with _translated():
                if is_available():
                    api, search = api_of(self._destination.address), self._destination.search
                    make_view(api, run.entity, run.project, search, self._media)
        except NotSent as error:
            print(f"the view of the project was not saved: {error}")

    def close(self) -> None:
        """End the SDK's own process."""
        import wandb

        wandb.teardown()


def _history(message: Row | Table) -> Mapping[str, Any]:
    if isinstance(message, Row):
        return message.values
    import wandb

    table = wandb.Table(columns=list(message.columns), data=[list(row) for row in message.rows], allow_mixed_types=True)
    return {message.name: table, "ledger_seq": message.seq}


def _ignore_stop_button() -> None:
    """Ignore the stop button of W&B's web page: a mirror has nothing to stop."""


def _translated() -> contextlib.AbstractContextManager[None]:
    return translated(_without_key, _REFUSED)


def _without_key(text: str) -> str:
    key = os.environ.get("WANDB_API_KEY")
    return text.replace(key, "***") if key else text


def _raise_for_lost_data(log: Path) -> None:
    """Look for a fatal upload error in the SDK's own log of a run: ``finish`` returns normally after one.

    Raises:
        NotSent: there is one.
    """
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, AttributeError):
            entry = json.loads(line)
            text = str(entry.get("msg", ""))
            fatal = str(entry.get("level", "")).startswith("ERROR+")
            if fatal or text.startswith(("runupserter: failed", "runfiles:")):
                raise NotSent(" ".join(f"{text} {entry.get('error', '')}".split())[:300])
