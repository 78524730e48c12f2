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
    "yaml-path-resolved": Code(_N, ""),
    # label files
    "label-class-range": Code(_E, "correct the class number, or add the class to names:"),
    # image files
    "image-unreadable": Code(_E, "replace or remove the image"),
    # leaks and duplicates
    "leak-exact": Code(_E, "keep each picture in one split only, e.g. with yolosweep split"),
    "leak-near": Code(_E, "keep all versions of a picture in one split, e.g. with yolosweep split"),
    "leak-sequence": Code(_W, "keep all frames and copies of a source in one split, e.g. with yolosweep split"),
    "duplicate-exact": Code(_W, "keep one of each; to weigh a picture more, use train.balance"),
    "duplicate-near": Code(_N, "keep one of each, unless the copies are meant as augmentation"),
    "duplicate-conflict": Code(_W, "look at both and correct the labels that are wrong"),
    # splits and balance
    "split-val-small": Code(_W, "put more images into val"),
}
"""By code: ``<what>-<which>`` in lower case, where *what* is yaml, split, image, label, leak, balance or file."""


def finding(code: str, message: str, **more: Any) -> Finding:
    """Return a finding of a known kind; ``more`` are further fields of :class:`Finding`."""
    kind = CODES[code]
    return Finding(**{"code": code, "severity": kind.severity, "message": message, "fix": kind.fix, **more})
