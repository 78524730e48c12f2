"""Model-predicted labels in a separate folder: never among human labels, resumable, val and test only on request."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from yolosweep import __version__
from yolosweep.autolabel.agreement import Agreement, HumanLabel, PredictedLabel, agreement
from yolosweep.autolabel.annotators import Annotator
from yolosweep.autolabel.journal import Journal
from yolosweep.autolabel.label_errors import LabelError, LabelErrorKind, label_errors
from yolosweep.errors import DataError, RunFolderError
from yolosweep.storage.atomic_files import sha256_of, write_atomic

__all__ = ["AutolabelResult", "LabelledImage", "autolabel"]

MANIFEST = "autolabel.json"
_SURE = 0.5
"""Score from which a suspected label error is counted."""
_EVALUATION = ("val", "test")
_COMPARED = ("weights", "sam", "conf", "task", "names")


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """One image and its labels."""

    image: Path
    split: str
    label: Path | None
    """The predicted label file; None if the image could not be read."""
    drawn: tuple[PredictedLabel, ...] = ()
    known: tuple[HumanLabel, ...] | None = None
    """Its human labels; None if there are none."""
    state: str = "written"
    """``written`` now, ``done`` by an earlier call, ``edited`` since then (and left unchanged), or ``unreadable``."""


@dataclass(frozen=True, kw_only=True)
class AutolabelResult:
    """The result of :func:`autolabel`."""

    manifest: Path
    names: dict[int, str]
    images: tuple[LabelledImage, ...]
    unknown_classes: tuple[str, ...]
    """Detector classes that the dataset lacks; they were left out."""
    agreement: dict[str, dict[int, Agreement]]
    """Agreement with human labels, where there are any, by split and class number."""

    def summary(self) -> dict[str, Any]:
        """Return the numbers as plain data, for ``--json`` and the manifest."""
        return {
            "images": len(self.images),
            "states": dict(Counter(image.state for image in self.images)),
            "boxes": {
                self.names.get(category, str(category)): count
                for category, count in sorted(Counter(b.category for i in self.images for b in i.drawn).items())
            },
            "left_out_classes": list(self.unknown_classes),
            "suspected_label_errors": self.suspected(),
            "agreement": {
                split: {self.names.get(c, str(c)): _as_dict(found) for c, found in by.items()}
                for split, by in self.agreement.items()
            },
        }

    def errors(self) -> list[tuple[LabelledImage, LabelError]]:
        """Return the suspected errors in human labels of all images, the likeliest first."""
        compared = [(one, one.known) for one in self.images if one.known is not None and one.label is not None]
        found = [(one, error) for one, known in compared for error in label_errors(one.drawn, known)]
        return sorted(found, key=lambda pair: -pair[1].score)

    def suspected(self) -> dict[str, int]:
        """Return how many errors in human labels the detector is sure of, by kind."""
        errors = [error for _, error in self.errors() if error.score >= _SURE]
        return {kind.value: count for kind in LabelErrorKind if (count := sum(e.kind is kind for e in errors))}


def _as_dict(found: Agreement) -> dict[str, Any]:
    return {
        "right": found.right, "extra": found.extra, "missed": found.missed,
        "precision": found.precision, "precision_95": found.precision_range,
        "recall": found.recall, "recall_95": found.recall_range,
    }  # fmt: skip


def autolabel(
    images: Sequence[Path],
    weights: Path,
    out: Path,
    *,
    task: str,
    names: Mapping[int, str],
    sam: Path | None = None,
    conf: float = 0.25,
    splits: Mapping[Path, str] | None = None,
    human: Mapping[Path, Sequence[HumanLabel]] | None = None,
    root: Path | None = None,
    include_eval: bool = False,
    device: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> AutolabelResult:
    """Predict labels and write them as YOLO label files into a separate folder.

    ``out`` gets ``labels/…txt`` (an empty file for no detections), ``autolabel.jsonl`` (a line per image, with
    confidences) and ``autolabel.json`` (the models, and their agreement with human labels). A second call with the same
    models resumes; label files that were edited since are never changed.

    Args:
        images: Absolute paths.
        weights: An Ultralytics ``.pt``; its classes are matched to ``names`` by name.
        out: A new folder, or one written by this function with the same models and settings.
        task: ``detect`` or ``segment``.
        names: The dataset's classes.
        sam: SAM weights for masks; None for boxes only.
        conf: Minimum confidence, 0 to 1.
        splits: The split of each image; train by default.
        human: Human labels of the images that have any; an empty sequence means no objects.
        root: Base of the label files' relative paths; by default the images' common folder.
        include_eval: Also label val and test images. Scores on predicted labels are meaningless.
        device: Ultralytics device; empty for the default.
        progress: Called with the number of images done so far and in total.

    Raises:
        DataError: There are val or test images without ``include_eval``, two images with one label file, or ``out`` is
            among the images or human labels.
        RunFolderError: ``out`` contains other files or labels by other models, is in use, or cannot be written.
        TrainingError: The weights are missing, unsafe or do not fit, see :class:`Annotator`.
    """
    splits, human = splits or {}, human or {}
    out = out.absolute()
    _refuse_evaluation(images, splits, include_eval)
    targets = _targets(images, root)
    _refuse_overlap(out, images)
    annotator = Annotator(weights, names, task=task, sam=sam, conf=conf, device=device)
    drawn_by = _source_of(weights, sam, conf, task, names)
    _refuse_others(out, drawn_by)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock", timeout=0):
            journal = _open_journal(out, drawn_by, annotator)
            done = []
            for count, image in enumerate(images, 1):
                done.append(_label(image, targets[image], annotator, journal, splits.get(image, "train"), human))
                if progress is not None:
                    progress(count, len(images))
            return _finish(out, done, names, annotator, drawn_by)
    except Timeout as error:
        raise RunFolderError(f"{out} is being written by another yolosweep autolabel; wait until it ends") from error
    except OSError as error:
        raise RunFolderError(f"{out} cannot be written: {error}; labels written so far are kept") from error


def _source_of(weights: Path, sam: Path | None, conf: float, task: str, names: Mapping[int, str]) -> dict[str, Any]:
    return {
        "weights": {"file": str(weights), "sha256": sha256_of(weights)},
        "sam": {"file": str(sam), "sha256": sha256_of(sam)} if sam is not None else None,
        "conf": conf,
        "task": task,
        "names": {str(number): name for number, name in names.items()},
    }


def _open_journal(out: Path, drawn_by: Mapping[str, Any], annotator: Annotator) -> Journal:
    _refuse_others(out, drawn_by)
    write_atomic(out / MANIFEST, _json({"complete": False, **_provenance(drawn_by, annotator)}))
    return Journal(out)


def _label(
    image: Path,
    target: str,
    annotator: Annotator,
    journal: Journal,
    split: str,
    human: Mapping[Path, Sequence[HumanLabel]],
) -> LabelledImage:
    """Label one image, unless an earlier call did."""
    known = tuple(human[image]) if image in human else None
    entry = journal.entry(image)
    if entry is not None and (state := journal.state(entry)) is not None:
        place = journal.folder / entry.label
        return LabelledImage(image=image, split=split, label=place, drawn=entry.drawn, known=known, state=state)
    drawn = annotator.draw(image)
    if drawn is None:
        return LabelledImage(image=image, split=split, label=None, known=known, state="unreadable")
    place = journal.write(image, target, drawn)
    return LabelledImage(image=image, split=split, label=place, drawn=drawn, known=known)


def _finish(
    out: Path, done: Sequence[LabelledImage], names: Mapping[int, str], annotator: Annotator, drawn_by: dict[str, Any]
) -> AutolabelResult:
    splits = dict.fromkeys(image.split for image in done if image.known is not None and image.label is not None)
    result = AutolabelResult(
        manifest=out / MANIFEST,
        names=dict(names),
        images=tuple(done),
        unknown_classes=tuple(annotator.unknown_classes),
        agreement={
            split: agreement(
                (i.drawn, i.known) for i in done if i.split == split and i.known is not None and i.label is not None
            )
            for split in splits
        },
    )
    files = [
        {
            "image": str(image.image),
            "label": image.label.relative_to(out).as_posix() if image.label else None,
            "split": image.split,
            "boxes": len(image.drawn),
            "state": image.state,
        }
        for image in done
    ]
    write_atomic(
        out / MANIFEST,
        _json({"complete": True, **_provenance(drawn_by, annotator), **result.summary(), "files": files}),
    )
    return result


def _provenance(drawn_by: Mapping[str, Any], annotator: Annotator) -> dict[str, Any]:
    return {"made_by": "machine", **drawn_by, "versions": {"yolosweep": __version__, **annotator.versions}}


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


def _refuse_evaluation(images: Sequence[Path], splits: Mapping[Path, str], include_eval: bool) -> None:
    held = [image for image in images if splits.get(image) in _EVALUATION]
    if held and not include_eval:
        raise DataError(
            f"{len(held)} of {len(images)} images belong to val or test, first {held[0]}: scores on predicted "
            "labels are meaningless; leave them out, or use --include-eval"
        )


def _targets(images: Sequence[Path], root: Path | None) -> dict[Path, str]:
    """Return each image's label path below ``out``, without its last folder named ``images``."""
    above = root.absolute() if root else Path(os.path.commonpath([i.parent for i in images])) if images else Path()
    targets: dict[Path, str] = {}
    taken: dict[str, Path] = {}
    for image in images:
        if image.is_relative_to(above):
            parts = list(image.relative_to(above).parent.parts)
        else:
            parts = ["elsewhere", hashlib.sha256(os.fsencode(image.parent)).hexdigest()[:12]]
        if "images" in parts:
            del parts[len(parts) - 1 - parts[::-1].index("images")]
        target = "/".join(["labels", *parts, f"{image.stem}.txt"])
        if taken.setdefault(target.casefold(), image) != image:
            raise DataError(f"{taken[target.casefold()]} and {image} would share the label file {target}; rename one")
        targets[image] = target
    return targets


def _refuse_overlap(out: Path, images: Sequence[Path]) -> None:
    """Refuse a folder that overlaps with the folders of images or human labels."""
    here = out.resolve()
    for folder in dict.fromkeys(image.parent for image in images):
        parts = folder.parts
        places = [folder]
        if "images" in parts:
            top = Path(*parts[: len(parts) - 1 - parts[::-1].index("images")])
            places = [top / "images", top / "labels"]
        for place in (place.resolve() for place in places):
            if here.is_relative_to(place) or place.is_relative_to(here):
                raise DataError(f"--out {out}: {place} contains the images or human labels; choose a separate folder")


def _refuse_others(out: Path, drawn_by: Mapping[str, Any]) -> None:
    manifest = out / MANIFEST
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file; choose a new folder for predicted labels")
    if not manifest.exists():
        others = sorted(path.name for path in out.iterdir() if path.name != ".lock") if out.exists() else []
        if others:
            raise RunFolderError(f"{out} already contains {others[0]}; choose a new folder for predicted labels")
        return
    try:
        before = json.loads(manifest.read_text(encoding="utf-8"))
        differ = [key for key in _COMPARED if _identity(before[key]) != _identity(drawn_by[key])]
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{manifest} is corrupt ({error}); choose a new folder for predicted labels") from error
    if differ:
        raise RunFolderError(f"{out} contains labels predicted with other {' and '.join(differ)}; choose a new folder")


def _identity(value: Any) -> Any:
    """Return what identifies a setting; for a model its content, not its path."""
    return value["sha256"] if isinstance(value, Mapping) and "sha256" in value else value
