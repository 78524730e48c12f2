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
