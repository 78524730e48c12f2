"""The written outcome of a sweep: the same numbers as JSON and as one self-contained page."""

from yolosweep.report.page import write_report as write_report
from yolosweep.report.summary import summary as summary

__all__ = ["summary", "write_report"]
