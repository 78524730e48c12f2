"""yolosweep: hyper-parameter sweeps of Ultralytics YOLO trainings on a Ray cluster.

Data flows one way: ``experiment.yaml -> Experiment -> PreparedDataset -> TrialRequest* -> EpochResult* / TrialRecord*
-> Winner -> report``. Each arrow is one room (module) of the package; CONTRIBUTING.md draws the map.
"""

__version__ = "0.1.0"
