"""What a careful reader says of the trainings in ``tests/fixtures/results_csv``.

They were made with Ultralytics 8.4.190 for these tests, on blood cells (BCCD) and on drawn cars and parts; the files
are as Ultralytics wrote them.
"""

from __future__ import annotations

__all__ = ["RECORDED"]

RECORDED = {
    **{
        f"2-epochs-{model}": "still-rising"
        for model in ("yolo11n-obb", "yolo11n-seg", "yolo26n-pose", "yolo26n", "yolov5n", "yolov8n-cls")
    },
    "cls-30-images-without-augmentation": "just-right",
    "cls-4-epochs": "still-rising",
    "cls-half-of-the-labels-random": "underfitting",
    "cls-healthy": "just-right",
    "cls-rate-0.3": "unstable",
    "cls-rate-1e-7": "not-learning",
    "cls-val-is-train": "just-right",
    "detect-4-epochs": "still-rising",
    "detect-8-images-70-epochs": "still-rising",
    "detect-blood-cells-6-epochs": "still-rising",
    "detect-blood-cells-exploding": "diverged",
    **{f"detect-cars-t{number}": "still-rising" for number in range(6)},
    **{f"detect-rare-class-t{number}": "still-rising" for number in range(5)},
    "detect-sgd-rate-1": "diverged",
    "detect-val-is-train-60-epochs": "underfitting",
}
