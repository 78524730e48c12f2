"""The experiment file: schema, search space, rules, and all faults at once."""

from yolosweep.experiment.experiment_loading import Source as Source
from yolosweep.experiment.experiment_loading import load_experiment as load_experiment
from yolosweep.experiment.experiment_loading import override_of as override_of
from yolosweep.experiment.rules import lint_with_data as lint_with_data
from yolosweep.experiment.rules import notes as notes
from yolosweep.experiment.schema import Experiment as Experiment
from yolosweep.experiment.search_parameter import Parameter as Parameter
from yolosweep.experiment.starter_experiment import starter as starter
from yolosweep.experiment.trial_settings import baseline as baseline
from yolosweep.experiment.trial_settings import defaults_of as defaults_of
from yolosweep.experiment.trial_settings import finals_line as finals_line
from yolosweep.experiment.trial_settings import identity as identity
from yolosweep.experiment.trial_settings import is_open_batch as is_open_batch
from yolosweep.experiment.trial_settings import objectives_line as objectives_line
from yolosweep.experiment.trial_settings import settings_of as settings_of
from yolosweep.experiment.trial_settings import sizes_of as sizes_of

__all__ = [
    "Experiment",
    "Parameter",
    "Source",
    "baseline",
    "defaults_of",
    "finals_line",
    "identity",
    "is_open_batch",
    "lint_with_data",
    "load_experiment",
    "notes",
    "objectives_line",
    "override_of",
    "settings_of",
    "sizes_of",
    "starter",
]
