"""The outcome of a sweep, as values and as one self-contained page."""

from yolosweep.report.summary import summarize as summarize
from yolosweep.report.sweep_diagnosis import diagnose_sweep as diagnose_sweep
from yolosweep.report.sweep_page import write_report as write_report

__all__ = ["diagnose_sweep", "summarize", "write_report"]
