"""Frozen values that cross packages; they decide nothing."""

from yolosweep.records.dataset_results import DataCheck as DataCheck
from yolosweep.records.dataset_results import DataConversion as DataConversion
from yolosweep.records.dataset_results import DataProfile as DataProfile
from yolosweep.records.dataset_results import DataSplit as DataSplit
from yolosweep.records.dataset_results import Finding as Finding
from yolosweep.records.dataset_results import LabelReview as LabelReview
from yolosweep.records.dataset_results import PreparedDataset as PreparedDataset
from yolosweep.records.dataset_results import Severity as Severity
from yolosweep.records.dataset_results import SplitCheck as SplitCheck
from yolosweep.records.record import SCHEMA_VERSION as SCHEMA_VERSION
from yolosweep.records.record import Number as Number
from yolosweep.records.record_assembly import Outcome as Outcome
from yolosweep.records.record_assembly import record_of as record_of
from yolosweep.records.trial_policy import TrialPolicy as TrialPolicy
from yolosweep.records.trials import Cause as Cause
from yolosweep.records.trials import Checkpoint as Checkpoint
from yolosweep.records.trials import Ending as Ending
from yolosweep.records.trials import EpochResult as EpochResult
from yolosweep.records.trials import FileRef as FileRef
from yolosweep.records.trials import Resampled as Resampled
from yolosweep.records.trials import TrialRecord as TrialRecord
from yolosweep.records.trials import TrialRequest as TrialRequest
from yolosweep.records.trials import Validation as Validation
from yolosweep.records.trials import Verdict as Verdict
