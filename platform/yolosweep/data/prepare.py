"""From what the user named to the view the trials train from. Nothing in the user's folders is ever changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from yolosweep.data.builtin import sample_folder
from yolosweep.durable import sha256_of, write_atomic
from yolosweep.errors import DataError
from yolosweep.ledger import RunFolder
from yolosweep.records import PreparedDataset

__all__ = ["inspect_dataset", "prepare_dataset"]

IMAGE_SUFFIXES = frozenset(
    ("avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp")
)
"""What Ultralytics reads (its ``IMG_FORMATS``)."""

_SPLITS = ("train", "val", "test")
_KEPT_KEYS = ("kpt_shape", "flip_idx", "kpt_names", "channels")
_MANIFEST = "manifest.json"


def inspect_dataset(source: str, task: str) -> PreparedDataset:
    """Read and count a dataset without writing anything.

    Args:
        source: a data.yaml, a folder (classify: ``train/<class>/*``; else one with a data.yaml), ``sample:parking``.
        task: the experiment's task.

    Raises:
        DataError: something that trials need is missing; the message says what was looked for and where.
    """
    return _read(source, task)[0]


def prepare_dataset(source: str, task: str, folder: RunFolder) -> PreparedDataset:
    """Write the resolved view of a dataset and its manifest into the run folder and return it.

    Raises:
        DataError: as :func:`inspect_dataset`.
    """
    dataset, resolved = _read(source, task)
    if resolved is not None:
        target = folder.dataset / "data.yaml"
        # JSON is YAML: no class name can be taken for a boolean, a number or a tag.
        write_atomic(target, json.dumps(resolved, indent=2, ensure_ascii=False) + "\n")
        dataset = dataset.model_copy(update={"train_on": str(target)})
    write_atomic(folder.dataset / _MANIFEST, dataset.model_dump_json(indent=2) + "\n")
    return dataset


def _read(source: str, task: str) -> tuple[PreparedDataset, dict[str, Any] | None]:
    path = sample_folder(source) if source.startswith("sample:") else Path(source)
    if not path.exists():
        raise DataError(f"data: there is no {path}; give the path of a data.yaml, relative to the experiment file")
    if task == "classify":
        return _read_classify(path), None
    if path.is_dir():
        found = sorted(path.glob("*.yaml"))
        if len(found) != 1:
            names = ", ".join(file.name for file in found) or "none"
            raise DataError(f"data: {path} should hold one data.yaml, found {names}; name the file itself")
        path = found[0]
    return _read_yaml(path, task)


def _read_yaml(path: Path, task: str) -> tuple[PreparedDataset, dict[str, Any]]:
    content = _load(path)
    names = _names(content, path)
    notes: list[str] = []
    root = _root(content, path, notes)
    if "val" not in content and "validation" in content:
        content["val"] = content["validation"]
        notes.append("data.yaml says validation: it is read as val:")
    if "download" in content:
        notes.append("download: in data.yaml is never run")
    images: dict[str, list[Path]] = {}
    for split in _SPLITS:
        if content.get(split):
            images[split] = _split_images(content[split], root, split, path)
        elif split != "test":
            raise DataError(f"{path}: the key {split}: is missing; write e.g. {split}: images/{split}")
    digest = hashlib.sha256(json.dumps([task, names], sort_keys=True).encode())
    for split, files in images.items():
        _add_split(digest, split, files, labelled=True)
    _refuse_unlabelled(images, path)
    resolved: dict[str, Any] = {split: [str(file) for file in _folders(content[split], root)] for split in images}
    resolved.update(names=names, nc=len(names), **{key: content[key] for key in _KEPT_KEYS if key in content})
    dataset = PreparedDataset(
        task=task,
        source=str(path.absolute()),
        train_on=str(path.absolute()),
        names=names,
        images={split: len(files) for split, files in images.items()},
        fingerprint=digest.hexdigest(),
        notes=tuple(notes),
    )
    return dataset, resolved


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > 1 << 24:
            raise DataError(f"{path} is over 16 MiB; this is not a data.yaml")
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise DataError(f"{path} cannot be read as YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must be a mapping with train:, val: and names:")
    return content


def _names(content: Mapping[str, Any], path: Path) -> dict[int, str]:
    names = content.get("names")
    if names is None and isinstance(content.get("nc"), int):
        return {index: f"class_{index}" for index in range(content["nc"])}
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise DataError(f"{path}: names: must list the classes, e.g. names: [red_car, car]")
    try:
        clean = {int(index): str(name) for index, name in names.items()}
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}: the keys of names: must be class numbers, e.g. names: {{0: red_car, 1: car}}"
        ) from error
    if sorted(clean) != list(range(len(clean))):
        raise DataError(
            f"{path}: class numbers in names: must be 0 to {len(clean) - 1} without a gap, not {sorted(clean)}"
        )
    if "nc" in content and content["nc"] != len(clean):
        raise DataError(f"{path}: nc: {content['nc']} but names: has {len(clean)} classes; remove nc:")
    return dict(sorted(clean.items()))


def _root(content: Mapping[str, Any], path: Path, notes: list[str]) -> Path:
    """Return the folder that the splits are relative to."""
    beside = path.absolute().parent
    given = content.get("path")
    if not given:
        return beside
    candidates = [Path(str(given)).expanduser()]
    if not candidates[0].is_absolute():
        candidates = [beside / candidates[0], Path.cwd() / candidates[0]]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate.resolve()
    notes.append(f"path: {given} does not exist here; the folder of data.yaml is used")
    return beside


def _folders(value: Any, root: Path) -> list[Path]:
    """Return where a split's entries are: Roboflow files say ``../train/images`` one level too high."""
    entries = value if isinstance(value, list) else [value]
    places = []
    for entry in entries:
        place = (root / str(entry)).resolve()
        if not place.exists() and str(entry).startswith("../"):
            place = (root / str(entry)[3:]).resolve()
        places.append(place)
    return places


def _split_images(value: Any, root: Path, split: str, path: Path) -> list[Path]:
    images: list[Path] = []
    for place in _folders(value, root):
        if place.is_dir():
            images += (file for file in place.rglob("*.*") if file.suffix[1:].lower() in IMAGE_SUFFIXES)
        elif place.is_file():
            lines = place.read_text(encoding="utf-8-sig").split("\n")
            images += (_listed(line.strip(), place.parent) for line in lines if line.strip())
        else:
            raise DataError(f"{path}: {split}: {place} does not exist (root {root}); correct path: or {split}:")
    missing = [file for file in images if not file.is_file()]
    if missing:
        raise DataError(f"{path}: {split}: {len(missing)} listed images do not exist, first {missing[0]}")
    if not images:
        raise DataError(
            f"{path}: {split}: there are no images in {value}; formats read: {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return sorted(images)


def _listed(line: str, base: Path) -> Path:
    """Return one line of a .txt list as Ultralytics reads it: ``./`` means beside the list."""
    return base / line[2:] if line.startswith("./") else Path(line) if Path(line).is_absolute() else base / line


def label_of(image: Path) -> Path:
    """Return where Ultralytics looks for an image's labels: the last ``images`` folder becomes ``labels``."""
    before, separator, after = str(image).rpartition("/images/")
    stem = f"{before}/labels/{after}" if separator else str(image)
    return Path(stem).with_suffix(".txt")


def _refuse_unlabelled(images: Mapping[str, Iterable[Path]], path: Path) -> None:
    for split in ("train", "val"):
        files = list(images[split])
        if not any(label_of(file).is_file() for file in files):
            raise DataError(
                f"{path}: none of the {len(files)} {split} images has a label file; "
                f"looked for {label_of(files[0])} and so on"
            )


def _read_classify(path: Path) -> PreparedDataset:
    if not path.is_dir():
        raise DataError(f"data: {path}: classify needs a folder with train/<class>/ and val/<class>/, not a file")
    splits = {split: path / split for split in _SPLITS if (path / split).is_dir()}
    for split in ("train", "val"):
        if split not in splits:
            raise DataError(f"data: {path} has no folder {split}/; classify needs train/<class>/ and val/<class>/")
    classes = sorted(folder.name for folder in splits["train"].iterdir() if folder.is_dir())
    if len(classes) < 2:
        raise DataError(f"data: {splits['train']} has {len(classes)} class folders; two are needed at least")
    digest = hashlib.sha256(json.dumps(["classify", classes]).encode())
    images: dict[str, int] = {}
    for split, folder in splits.items():
        files = sorted(file for file in folder.glob("*/*") if file.suffix[1:].lower() in IMAGE_SUFFIXES)
        if not files:
            raise DataError(f"data: {folder} holds no images in class folders")
        strangers = sorted({file.parent.name for file in files} - set(classes))
        if strangers:
            raise DataError(f"data: {folder} has class folders that train does not have: {', '.join(strangers)}")
        _add_split(digest, split, files, labelled=False)
        images[split] = len(files)
    return PreparedDataset(
        task="classify",
        source=str(path.absolute()),
        train_on=str(path.resolve()),
        names=dict(enumerate(classes)),
        images=images,
        fingerprint=digest.hexdigest(),
    )


def _add_split(digest: Any, split: str, files: list[Path], *, labelled: bool) -> None:
    """Feed a split's images and labels into the fingerprint, in an order that does not hang on where they lie."""

    def entry(file: Path) -> str:
        label = label_of(file) if labelled else None
        text = sha256_of(label) if label is not None and label.is_file() else "-"
        return f"{file.parent.name}/{file.name} {sha256_of(file)} {text}"

    with ThreadPoolExecutor(max_workers=8) as pool:
        for line in sorted(pool.map(entry, files)):
            digest.update(f"{split} {line}\n".encode(errors="surrogateescape"))
