"""Every kind of finding of the data gate: its code, how grave it is, and the way out."""

from __future__ import annotations

from typing import Any, NamedTuple

from yolosweep.records import Finding, Severity

__all__ = ["CODES", "Code", "finding"]

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
    "label-class-name": Code(_E, "write the class's number in place of its name"),
    "label-class-fraction": Code(_E, "write whole class numbers, counted from 0"),
    "label-pixels": Code(_E, "divide x and width by the image's width, y and height by its height"),
    "label-outside": Code(_E, "correct or remove the rows: coordinates are shares of the image, 0 to 1"),
    "label-negative-size": Code(_E, "write middle, width and height, not corners"),
    "label-mixed": Code(_E, "make all rows of a file boxes, or all of them outlines"),
    "label-columns": Code(_E, "write what the task needs, see the first line named here"),
    "label-separator": Code(_E, "separate the numbers by spaces"),
    "label-not-number": Code(_E, "write numbers only: class and shares of the image, separated by spaces"),
    "label-not-text": Code(_E, "save the label file as UTF-8 text"),
    "label-nan": Code(_E, "remove rows with nan or inf"),
    "label-huge": Code(_E, "look at what writes this file: a label file is text of a few lines"),
    "label-missing": Code(_W, "add the label files; an empty one says that there is nothing to find"),
    "label-missing-most": Code(_E, "add the label files, or an empty one for every image that shows nothing"),
    "label-machine": Code(_W, "look at them in the review sheet of yolosweep autolabel, and correct what is wrong"),
    "label-machine-eval": Code(_E, "score on labels that people drew: a model agrees with itself"),
    "label-stray": Code(_W, "correct the names: image and label have the same one"),
    "label-duplicate-row": Code(_W, "remove the second row; Ultralytics leaves it out"),
    "label-zero-area": Code(_W, "remove the rows or give them a size"),
    "label-partly-outside": Code(_N, ""),
    "label-rounding": Code(_N, ""),
    # image files
    "image-unreadable": Code(_E, "replace or remove the image"),
    "image-empty": Code(_E, "copy the image again, or remove it"),
    "image-not-a-file": Code(_E, "replace it by a regular file, or remove it"),
    "image-huge": Code(_E, "cut it into tiles"),
    "image-small": Code(_E, "remove it: Ultralytics leaves out images below 10 pixels"),
    "image-format": Code(_E, "convert it, e.g. to JPEG or PNG"),
    "image-cut-off": Code(_W, "copy the image again: where it was cut off, grey is trained"),
    "image-suffix": Code(_N, ""),
    "image-frames": Code(_W, "save the frames as images of their own; only the first is trained"),
    "image-deep": Code(_W, "convert to 8 bit so that the whole range is used; training keeps the upper 8 bits"),
    "image-cmyk": Code(_N, ""),
    "image-alpha": Code(_N, ""),
    "image-rotated": Code(_W, "look at them in yolosweep check --report: boxes must fit the upright picture"),
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
    """Return a finding of a known kind; ``more`` are further fields of :class:`Finding`."""
    kind = CODES[code]
    return Finding(**{"code": code, "severity": kind.severity, "message": message, "fix": kind.fix, **more})
