"""A detector of few layers, for tests of how a model is trained and not of which.

A step takes a sixth of yolo11n's, whose time goes into many small layers.
"""

from pathlib import Path

MICRO = str(Path(__file__).parents[1] / "fixtures" / "micro.yaml")
