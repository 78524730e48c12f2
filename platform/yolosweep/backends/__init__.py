"""Model families behind one Protocol: descriptions that import nothing heavy, and their trainers.

Only this package and ``autolabel`` import torch and ultralytics, and only once a trainer is asked for.
"""

from yolosweep.backends.arguments import Arguments as Arguments
from yolosweep.backends.arguments import ArgumentSpace as ArgumentSpace
from yolosweep.backends.backend import Backend as Backend
from yolosweep.backends.backend import Task as Task
from yolosweep.backends.backend_registry import BACKENDS as BACKENDS
from yolosweep.backends.backend_registry import DEFAULT_BACKEND as DEFAULT_BACKEND
from yolosweep.backends.backend_registry import backend_for as backend_for
from yolosweep.backends.backend_registry import trainer_for as trainer_for
from yolosweep.backends.trainer import Cancelled as Cancelled
from yolosweep.backends.trainer import Report as Report
from yolosweep.backends.trainer import Trainer as Trainer

__all__ = [
    "BACKENDS",
    "DEFAULT_BACKEND",
    "ArgumentSpace",
    "Arguments",
    "Backend",
    "Cancelled",
    "Report",
    "Task",
    "Trainer",
    "backend_for",
    "trainer_for",
]
