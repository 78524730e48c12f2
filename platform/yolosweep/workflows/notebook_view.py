"""A sweep as a cell of a notebook shows it."""

from __future__ import annotations

from html import escape

from yolosweep.records.summary import Summary
from yolosweep.records.trial_columns import columns_of

__all__ = ["notebook_view"]

_ROWS = 20
"""Trials that are shown, the best ones."""


def notebook_view(summary: Summary) -> str:
    """Return the verdict and the best trials as HTML; all texts are escaped."""
    shown = summary.best_first[:_ROWS]
    columns = columns_of("show", shown, metric=summary.metric)
    head = "".join(f"<th>{escape(column.heading)}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(column.cell(trial))}</td>' for column in columns)}</tr>" for trial in shown
    )
    lines = [f"<b>{escape(summary.sweep)}</b> {escape(summary.status)}", escape(summary.verdict.sentence)]
    lines += [f"warning: {escape(sentence)}" for sentence in summary.warnings]
    if len(shown) < len(summary.trials):
        lines.append(f"the best {len(shown)} of {len(summary.trials)} trials")
    paragraphs = "".join(f"<p>{line}</p>" for line in lines)
    return f"{paragraphs}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
