"""The page of ``yolosweep check --report``: a verdict on a data set, and views of it; opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from yolosweep.records import Finding, PreparedDataset, Severity
from yolosweep.report.contact_sheets import Tile, affordable, environment
from yolosweep.report.data_figures import (
    BoxSize,
    Count,
    class_rows,
    size_histogram,
    size_scatter,
    size_shares,
)

__all__ = ["DataView", "Gallery", "Pair", "render_data_page"]

_PAIRS_BUDGET, _GALLERIES_BUDGET, _SAMPLES_BUDGET = 160_000, 250_000, 300_000
"""Bytes of pictures; they keep the page below 1 MB."""
_MAX_ROWS = 400
_MAX_FINDINGS = 60
"""Per finding code."""
_MAX_BOXES = 4000


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two images that are identical, near-duplicates, or from one source."""

    first: Tile
    second: Tile
    kind: str
    """``exact``, ``near``, ``sequence``…"""
    detail: str = ""
    """Why they are similar, e.g. a distance; one short sentence."""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Samples of one augmentation."""

    name: str
    """``mosaic``, or the name of a pipeline of the experiment."""
    tiles: tuple[Tile, ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DataView:
    """Everything the page of a data set shows."""

    dataset: PreparedDataset
    """With its findings, the waived codes, and the share of each split that leaks."""
    exit_code: int = 0
    """Exit code of ``yolosweep check``."""
    counts: Mapping[str, Mapping[int, Count]] = field(default_factory=dict)
    """Frequencies by split and class number; splits in the order train, val, test."""
    boxes: Sequence[BoxSize] = ()
    """Sizes of a few thousand boxes of train, sampled uniformly; at most 4,000 are used."""
    imgsz: tuple[int, ...] = (640,)
    """Image sizes used for training, or the limits of those searched."""
    samples: Mapping[int, Sequence[Tile]] = field(default_factory=dict)
    """Images of train by the class number they contain, with all their labels."""
    pairs: Sequence[Pair] = ()
    """Images that are in two splits, worst first; as many as fit are shown."""
    pairs_found: int | None = None
    """Total number of pairs; None: the number of ``pairs``."""
    previews: Sequence[Gallery] = ()


def render_data_page(view: DataView) -> str:
    """Return the page as HTML below 1 MB, without scripts and external resources.

    Everything from the data set is escaped, invisible and text-direction characters visibly. As many pictures, rows
    and findings as fit are shown; the rest is counted.
    """
    boxes, rows = view.boxes[:_MAX_BOXES], class_rows(view.counts, list(view.dataset.names))
    samples = affordable(view.samples, _SAMPLES_BUDGET)
    galleries = affordable({index: gallery.tiles for index, gallery in enumerate(view.previews)}, _GALLERIES_BUDGET)
    pairs = _shown_pairs(view.pairs)
    sizes = sorted({view.imgsz[0], view.imgsz[-1]} if view.imgsz else set())
    return (
        environment()
        .get_template("data.html.j2")
        .render(
            view=view,
            dataset=view.dataset,
            names=view.dataset.names,
            verdict=_verdict(view),
            counted=_counted(view.dataset),
            groups=_groups(view.dataset.findings),
            max_findings=_MAX_FINDINGS,
            rows=rows[:_MAX_ROWS],
            rows_left=len(rows) - len(rows[:_MAX_ROWS]),
            totals={split: sum(count.instances for count in by.values()) for split, by in view.counts.items()},
            boxes=boxes,
            sizes=[(size_shares(boxes, imgsz), size_histogram(boxes, imgsz)) for imgsz in sizes] if boxes else [],
            scatter=size_scatter(boxes, sizes[-1]) if boxes and sizes else "",
            samples={category: tiles for category, tiles in samples.items() if tiles},
            samples_left=sum(bool(view.samples[category]) and not tiles for category, tiles in samples.items()),
            pairs=pairs,
            pairs_left=max(len(view.pairs), view.pairs_found or 0) - len(pairs),
            galleries=[(gallery, galleries[index]) for index, gallery in enumerate(view.previews) if galleries[index]],
        )
    )


def _verdict(view: DataView) -> tuple[str, str]:
    """Return the CSS class of the verdict (``none``, ``keep`` or empty) and its text."""
    counted = _counted(view.dataset)
    allowed = [f for f in _of(view.dataset, Severity.ERROR) if f.code in view.dataset.allowed]
    stopping = counted["error"] - len(allowed)
    if stopping:
        return "none", f"No sweep can start on these data: {_many(stopping, 'error')}."
    if allowed:
        codes = ", ".join(sorted({finding.code for finding in allowed}))
        waived = f"{_many(len(allowed), 'error')} {'is' if len(allowed) == 1 else 'are'} waived"
        return "none", f"A sweep can start only because {waived} ({codes})."
    if counted["warning"]:
        return "keep", f"A sweep can start; {_many(counted['warning'], 'warning')} to review first."
    return "", "The data checks found no problem: a sweep can start."


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _of(dataset: PreparedDataset, severity: Severity) -> list[Finding]:
    return [finding for finding in dataset.findings if finding.severity is severity]


def _counted(dataset: PreparedDataset) -> dict[str, int]:
    return {severity.value: len(_of(dataset, severity)) for severity in Severity}


def _groups(findings: Sequence[Finding]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the findings by severity, most severe first, then by code in order of appearance."""
    order = list(Severity)
    codes = list(dict.fromkeys(finding.code for finding in findings))
    ranked = sorted(findings, key=lambda finding: (order.index(finding.severity), codes.index(finding.code)))
    return [
        (severity.value, [_kind(code, list(same)) for code, same in groupby(alike, key=lambda finding: finding.code)])
        for severity, alike in groupby(ranked, key=lambda finding: finding.severity)
    ]


def _kind(code: str, findings: list[Finding]) -> dict[str, Any]:
    """Return the findings of one code; a fix they share is given once."""
    fixes = {finding.fix for finding in findings}
    return {
        "code": code,
        "fix": fixes.pop() if len(fixes) == 1 else "",
        "count": sum(finding.count for finding in findings),
        "findings": findings,
    }


def _shown_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    left, shown = _PAIRS_BUDGET, []
    for pair in pairs:
        left -= pair.first.weight + pair.second.weight
        if left < 0:
            break
        shown.append(pair)
    return shown
