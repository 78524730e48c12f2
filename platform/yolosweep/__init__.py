"""yolosweep: hyperparameter sweeps of Ultralytics YOLO trainings on a Ray cluster.

Data flows one way: ``experiment.yaml -> Experiment -> PreparedDataset -> TrialRequest* -> EpochResult* / TrialRecord*
-> Winner -> report``. CONTRIBUTING.md lists the packages; :mod:`yolosweep.api` is the Python API, whose names are also
here.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolosweep.api import Best as Best
    from yolosweep.api import Experiment as Experiment
    from yolosweep.api import Listener as Listener
    from yolosweep.api import LogListener as LogListener
    from yolosweep.api import Sweep as Sweep
    from yolosweep.api import check as check
    from yolosweep.api import diagnose as diagnose
    from yolosweep.api import open as open
    from yolosweep.api import plan as plan
    from yolosweep.api import run as run
    from yolosweep.api import split as split
    from yolosweep.api import tune as tune

__version__ = "0.2.0"
__all__ = [
    "Best",
    "Experiment",
    "Listener",
    "LogListener",
    "Sweep",
    "__version__",
    "check",
    "diagnose",
    "open",
    "plan",
    "run",
    "split",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import the Python API when one of its names is used first, so that the command line stays fast."""
    if name not in __all__:
        raise AttributeError(f"module 'yolosweep' has no attribute {name!r}")
    from yolosweep import api

    return getattr(api, name)
