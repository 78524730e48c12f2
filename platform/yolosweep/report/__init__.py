"""The written outcome of a sweep: the same numbers as JSON and as one self-contained page."""

from yolosweep.report.summary import summary as summary
from yolosweep.report.sweep_page import write_report as write_report

__all__ = ["summary", "write_report"]
