"""Every kind of finding of the data gate: its code, how grave it is, and the way out."""

from __future__ import annotations

from typing import Any, NamedTuple

from yolosweep.data.model.safe_paths import shown
from yolosweep.records import Finding, Severity

__all__ = ["CODES", "Code", "finding"]

_LONGEST = 9000
"""Characters: two paths of the longest kind."""
_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE


class Code(NamedTuple):
    """One kind of finding."""

    severity: Severity
    fix: str
    """The way out, for all findings of this kind that have no better one."""


CODES: dict[str, Code] = {
    # data.yaml, folders, archives
    "yaml-bytes": Code(_W, "save data.yaml as UTF-8 and look at the names of the classes"),
    "yaml-key-twice": Code(_W, "keep one of the two lines"),
    "yaml-key-renamed": Code(_N, ""),
    "yaml-path-resolved": Code(_N, ""),
    "yaml-path-two": Code(_W, "write path: as an absolute path, so that it does not hang on where the command is run"),
    "yaml-path-declared": Code(_N, ""),
    "yaml-test-missing": Code(_W, "correct test: or remove it; without it no score is free of the choosing"),
    "yaml-download": Code(_N, ""),
    "yaml-names-plain": Code(_N, ""),
    "yaml-names-twice": Code(_W, "give every class its own name, or make them one class in the labels"),
    "yaml-names-missing": Code(_W, "write names: with the real names of the classes"),
    "yaml-ndjson": Code(_E, "remove .ndjson.yaml: Ultralytics would take the classes from it instead of the folders"),
    "file-missing": Code(_E, "put the images there, or take their lines out of the list"),
    "file-outside": Code(_E, "write the real place plainly in data.yaml, or go on with --allow file-outside"),
    "file-special": Code(_E, "replace it by a regular file, or remove it"),
    "file-unwritable": Code(_E, "rename the files to names in UTF-8"),
    "file-name-odd": Code(_W, "rename the files: lists and reports cannot show such names"),
    "file-twice": Code(_W, "list every image once; train.balance repeats classes without this"),
    "file-same-label": Code(_W, "give the images different names, or keep one of them"),
    "file-hidden": Code(_N, "remove them if they came from a Mac's zip (__MACOSX, ._name.jpg)"),
    "file-hidden-class": Code(_E, "remove the hidden folder: Ultralytics takes it for a class and shifts the others"),
    "file-no-class": Code(_W, "move the images into class folders"),
    "file-class-empty": Code(_W, "put images into the folder, or remove it in every split"),
    "file-foreign-cache": Code(
        _W, "delete them: a foreign .cache can run code in Ultralytics, a .npy replaces its image"
    ),
    "file-loop": Code(_W, "remove the link"),
    "file-list-line": Code(_W, "give one image per line"),
    "file-no-labels": Code(_E, "put the label files there, or check that images and labels have the same names"),
    "file-labels-elsewhere": Code(_N, ""),
    "file-label-case": Code(_N, ""),
    # label files
    "label-class-range": Code(_E, "correct the class number, or add the class to names:"),
    "label-class-name": Code(_E, "write class numbers, counted from 0 in the order of names:"),
    "label-class-fraction": Code(_E, "write whole class numbers"),
    "label-columns": Code(_E, "write one object a line: class, then the numbers of the task's format"),
    "label-not-number": Code(_E, "correct or remove the line"),
    "label-separator": Code(_E, "separate the columns by spaces, and write decimals with a point"),
    "label-nan": Code(_E, "correct or remove the line"),
    "label-negative-size": Code(_E, "write middle x, middle y, width, height, with width and height above 0"),
    "label-outside": Code(_E, "write coordinates as shares of the image, 0 to 1"),
    "label-pixels": Code(_E, "divide x and width by the image's width, y and height by its height"),
    "label-mixed": Code(_E, "write only boxes or only polygons in a file"),
    "label-boxes-only": Code(_E, "give polygons (segment) or four corners (obb), or set task: detect"),
    "label-pose-box": Code(_E, "divide the box by the image's size, as the keypoints are"),
    "label-encoding": Code(_E, "save the file as plain text in UTF-8"),
    "label-too-big": Code(_E, "check what the file is; labels of one image need far less than 8 MB"),
    "label-unreadable": Code(_E, "make it a file that can be read"),
    "label-missing": Code(_E, "put the label files there; an empty file says that an image shows no object"),
    "label-none": Code(_E, "label at least some images of the split"),
    "label-background": Code(_N, ""),
    "label-zero-area": Code(_W, "remove the lines, or correct width and height"),
    "label-obb-corners": Code(_W, "give four corners; the smallest box around other shapes is trained on"),
    "label-orphan": Code(_W, "put the images there, or remove the label files"),
    "label-classes-differ": Code(_W, "check which order the class numbers follow, and correct names:"),
    "label-corners": Code(_W, "check the format: class, middle x, middle y, width, height"),
    "label-partly-outside": Code(_N, ""),
    "label-rounding": Code(_N, ""),
    "label-duplicate-row": Code(_N, ""),
    "label-polygon-as-box": Code(_N, ""),
    "label-keypoints-unused": Code(_N, ""),
    "label-stranger": Code(_N, ""),
    "label-machine": Code(_W, "look at them in the review sheet of yolosweep autolabel, and correct what is wrong"),
    "label-machine-eval": Code(_E, "score on labels that people drew: a model agrees with itself"),
    # image files
    "image-unreadable": Code(_E, "replace or remove the image"),
    "image-empty": Code(_E, "replace or remove the image"),
    "image-truncated": Code(_E, "copy the image again from its source, or remove it"),
    "image-rewritten": Code(_W, "copy the images again from their source, or save them anew"),
    "image-format": Code(_E, "convert the image to JPEG or PNG"),
    "image-small": Code(_E, "remove the image; 10 pixels a side is the least"),
    "image-bomb": Code(_E, "cut the image into tiles, or remove it"),
    "image-not-file": Code(_E, "replace it by a regular file, or remove it"),
    "image-depth": Code(_E, "convert the image to 8 or 16 bits a channel"),
    "image-huge": Code(_W, "cut the images into tiles: small objects vanish when they are reduced to imgsz"),
    "image-16bit": Code(_W, "stretch the values over all 16 bits, or convert to 8 bits yourself"),
    "image-alpha": Code(_W, "flatten the images onto the background that they should have"),
    "image-rotated": Code(_W, "check that the labels were drawn on the upright picture, or turn the pixels and labels"),
    "image-frames": Code(_W, "save the frames as images of their own"),
    "image-extension": Code(_N, ""),
    "image-cmyk": Code(_N, ""),
    "image-palette": Code(_N, ""),
    "image-grey": Code(_N, ""),
    # leaks and duplicates
    "leak-exact": Code(_E, "keep each picture in one split only, e.g. with yolosweep split"),
    "leak-near": Code(_E, "keep all versions of a picture in one split, e.g. with yolosweep split"),
    "leak-sequence": Code(_W, "keep all frames and copies of a source in one split, e.g. with yolosweep split"),
    "duplicate-exact": Code(_W, "keep one of each; to weigh a picture more, use train.balance"),
    "duplicate-near": Code(_N, "keep one of each, unless the copies are meant as augmentation"),
    "duplicate-conflict": Code(_W, "look at both and correct the labels that are wrong"),
    # splits and balance
    "balance-boxes-small": Code(_W, "train at a larger imgsz"),
    "balance-class-few": Code(_W, "label more of it"),
    "balance-class-unscored": Code(_W, "split again, e.g. with yolosweep split: it keeps rare classes in every split"),
    "balance-class-untrained": Code(_E, "split again, e.g. with yolosweep split: it keeps rare classes in every split"),
    "balance-class-unused": Code(_N, "remove it from names:, or label it"),
    "balance-empty": Code(_W, "set or search train.balance, e.g. 0.5, or leave some of them out"),
    "balance-uneven": Code(_W, "set or search train.balance, e.g. 0.5"),
    "split-test-absent": Code(_N, "keep some images apart as test:, e.g. with yolosweep split"),
    "split-val-empty": Code(_E, "put labelled images into val"),
    "split-val-small": Code(_W, "put more images into val"),
}
"""By code: ``<what>-<which>`` in lower case, where *what* is yaml, split, image, label, leak, balance or file."""


def finding(code: str, message: str, **more: Any) -> Finding:
    """Return a finding of a known kind; ``more`` are further fields of :class:`Finding`.

    Names of a stranger's files and classes stand in it: what a terminal would obey is spelled out (``\\x1b``).
    """
    kind = CODES[code]
    text = {"message": message, "file": more.get("file")}
    safe = {key: shown(value, _LONGEST) for key, value in text.items() if value is not None}
    return Finding(**{"code": code, "severity": kind.severity, "fix": kind.fix, **more, **safe})
