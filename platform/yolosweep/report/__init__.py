"""The outcome of a sweep, as values and as one self-contained page."""

from yolosweep.report.diagnosis_from_ledger import diagnose_sweep as diagnose_sweep
from yolosweep.report.sweep_page import write_report as write_report
from yolosweep.report.sweep_summary import summarize as summarize

__all__ = ["diagnose_sweep", "summarize", "write_report"]
