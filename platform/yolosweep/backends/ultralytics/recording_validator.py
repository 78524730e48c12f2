"""Ultralytics' validators, which also keep what they matched, what was answered on each image, and their plots.

Scores never depend on what is kept: a plot or an answer that fails is left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yolosweep.backends.ultralytics.patches import replaced
from yolosweep.backends.ultralytics.tasks import class_of
from yolosweep.records.image_predictions import Answer, Point, Shape

__all__ = ["draw_confusion", "keeping"]

_LEAST = 0.05
"""Least confidence of a prediction that is kept."""
_MOST = 100
"""Most predictions that are kept per image."""
_CORNERS = 48
"""Most corners of an outline."""
_DPI = 110
"""Dots per inch of plots: 1320 x 990 pixels."""
_NO_THRESHOLD = 0.25
"""Ultralytics' own threshold for predictions, where no confidence has an F1 above 0."""


def keeping(task: str) -> type[Any]:
    """Return the validator of a task, extended."""
    return type("Keeping", (_Classes if task == "classify" else _Detections, class_of(task, "Validator")), {})


class _Validator:
    """The attributes of Ultralytics' validators that the classes below use, and ours."""

    args: Any
    dataloader: Any
    device: Any
    metrics: Any
    names: Any
    targets: Any
    build_dataset: Any
    pictures: Path | None = None
    """The folder for plots; None: keep no answers."""
    threshold: float | None = None
    """The confidence from which predictions are shown."""
    answers: list[Answer]
    boxes: list[tuple[dict[str, Any], dict[str, Any]]]
    """What a confusion matrix is made of, per image: predictions and labels."""


class _Detections(_Validator):
    """For tasks with boxes."""

    def init_metrics(self, model: Any) -> None:
        super().init_metrics(model)  # type: ignore[misc]
        self.answers = []
        self.boxes = []

    def match_predictions(self, pred_classes: Any, true_classes: Any, iou: Any, use_scipy: bool = False) -> Any:
        self._overlaps.append(iou)  # of boxes first, then of masks or keypoints
        return super().match_predictions(pred_classes, true_classes, iou, use_scipy)  # type: ignore[misc]

    def _process_batch(self, preds: dict[str, Any], batch: dict[str, Any]) -> Any:
        self._overlaps: list[Any] = []
        found = super()._process_batch(preds, batch)  # type: ignore[misc]
        if self.pictures is not None:
            with contextlib.suppress(Exception):
                self._keep(preds, batch)
        return found

    def _keep(self, preds: dict[str, Any], batch: dict[str, Any]) -> None:
        order = preds["conf"].argsort(descending=True)[:_MOST]
        order = order[preds["conf"][order] >= _LEAST]
        chosen = {key: values[order] for key, values in preds.items()}
        self.boxes.append((_plain(chosen), _plain(batch)))
        tables = [_table(iou[:, order]) for iou in self._overlaps] or [()]
        self.answers.append(
            Answer(
                image=str(batch["im_file"]),
                width=int(batch["ori_shape"][1]),
                height=int(batch["ori_shape"][0]),
                labels=_shapes(batch, batch, self.names),
                predictions=_shapes(chosen, batch, self.names),
                fits=tables[-1],
                overlaps=tables[0],
            )
        )

    def get_stats(self) -> dict[str, Any]:
        """Return the scores; Ultralytics clears what they are made of with the last one."""
        self.kept = {name: list(values) for name, values in getattr(self.metrics, "stats", {}).items()}
        if self.pictures is not None:
            with contextlib.suppress(Exception), _light_plots():
                self.metrics.process(save_dir=self.pictures, plot=True)
        found: dict[str, Any] = super().get_stats()  # type: ignore[misc]
        self.threshold = _threshold(self.metrics)
        return found


class _Classes(_Validator):
    """For classify."""

    def init_metrics(self, model: Any) -> None:
        super().init_metrics(model)  # type: ignore[misc]
        self.answers = []

    def get_dataloader(self, dataset_path: Any, batch_size: int) -> Any:
        """Build a loader in the order of the data set: Ultralytics' own shuffles, also in a validation."""
        from ultralytics.data import build_dataloader

        dataset = self.build_dataset(dataset_path)
        if not dataset.samples:
            return super().get_dataloader(dataset_path, batch_size)  # type: ignore[misc]  # raises
        return build_dataloader(dataset, batch_size, self.args.workers, shuffle=False, device=self.device)

    def update_metrics(self, preds: Any, batch: dict[str, Any]) -> None:
        first = sum(map(len, self.targets))
        super().update_metrics(preds, batch)  # type: ignore[misc]
        if self.pictures is not None:
            with contextlib.suppress(Exception):
                self._keep(first, preds, batch["cls"])

    def _keep(self, first: int, preds: Any, labels: Any) -> None:
        confidences, answers = preds.float().max(1)
        rows = zip(confidences.tolist(), answers.tolist(), labels.tolist(), strict=True)
        for at, (confidence, answer, label) in enumerate(rows, first):
            shapes = Shape(name=self.names[label]), Shape(name=self.names[answer], confidence=round(confidence, 4))
            self.answers.append(
                Answer(
                    image=str(self.dataloader.dataset.samples[at][0]),
                    width=0,
                    height=0,
                    labels=shapes[:1],
                    predictions=shapes[1:],
                    fits=((1.0,),),
                    overlaps=((1.0,),),
                )
            )


def draw_confusion(validator: Any) -> tuple[Path, ...]:
    """Draw the confusion matrices at the validator's threshold; return all plots that it has drawn, if it may."""
    if validator.pictures is None:
        return ()
    with contextlib.suppress(Exception), _light_plots():
        matrix = validator.confusion_matrix
        for predictions, labels in getattr(validator, "boxes", ()):
            matrix.process_batch(predictions, labels, conf=validator.threshold)
        for normalize in (True, False):
            matrix.plot(save_dir=validator.pictures, normalize=normalize)
    return tuple(sorted(validator.pictures.glob("*.png")))


@contextlib.contextmanager
def _light_plots() -> Iterator[None]:
    """Write plots in a resolution for screens."""
    from matplotlib.figure import Figure

    save = Figure.savefig

    def savefig(figure: Figure, *args: Any, **more: Any) -> None:
        save(figure, *args, **{**more, "dpi": _DPI})

    with replaced("matplotlib.figure:Figure.savefig", savefig):
        yield


def _threshold(metrics: Any) -> float:
    """Return the confidence with the best mean F1, which Ultralytics reports precision and recall at."""
    from ultralytics.utils.metrics import smooth

    last = next(getattr(metrics, name) for name in ("seg", "pose", "box") if hasattr(metrics, name))
    curves: Any = getattr(last, "f1_curve", ())
    if not len(curves) or not curves.max() > 0:
        return _NO_THRESHOLD
    return round(max(float(last.px[smooth(curves.mean(0), 0.1).argmax()]), _LEAST), 4)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a confusion matrix is made of."""
    return {key: values[key].cpu() for key in ("cls", "conf", "bboxes") if key in values}


def _table(iou: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(value, 4) for value in row) for row in iou.cpu().tolist())


def _shapes(values: dict[str, Any], batch: dict[str, Any], names: dict[int, str]) -> tuple[Shape, ...]:
    """Return labels or predictions, from pixels of the model's input to shares of the image."""
    from ultralytics.utils.ops import xywhr2xyxyxyxy

    boxes, turned = values["bboxes"], values["bboxes"].shape[-1] == 5
    corners = xywhr2xyxyxyxy(boxes) if turned else boxes.reshape(-1, 2, 2)
    points = [_shares(of_one, batch) for of_one in corners.cpu()]
    outlines: Sequence[tuple[Point, ...]] = points if turned else [()] * len(points)
    if "masks" in values:
        outlines = [_outline(mask, batch) for mask in values["masks"].cpu().numpy()]
    keypoints = [_visible(of_one, batch) for of_one in values.get("keypoints", ())] or [()] * len(points)
    confidences = values["conf"].tolist() if "conf" in values else [None] * len(points)
    return tuple(
        Shape(
            name=names[int(category)],
            box=(min(x for x, _ in at), min(y for _, y in at), max(x for x, _ in at), max(y for _, y in at)),
            outline=outline,
            keypoints=joints,
            confidence=None if confidence is None else round(confidence, 4),
        )
        for category, at, outline, joints, confidence in zip(
            values["cls"].tolist(), points, outlines, keypoints, confidences, strict=True
        )
    )


def _shares(points: Any, batch: dict[str, Any]) -> tuple[Point, ...]:
    """Return points in pixels of the model's input as shares of the image."""
    from ultralytics.utils.ops import scale_coords

    where = scale_coords(
        batch["imgsz"], points.clone().float(), batch["ori_shape"], ratio_pad=batch["ratio_pad"], normalize=True
    )
    return tuple((round(x, 5), round(y, 5)) for x, y, *_ in where.tolist())


def _visible(keypoints: Any, batch: dict[str, Any]) -> tuple[Point, ...]:
    """Return the keypoints that are labelled, or predicted with a confidence of at least a half."""
    shares = _shares(keypoints.cpu(), batch)
    seen = keypoints[:, 2].tolist() if keypoints.shape[-1] > 2 else [1.0] * len(shares)
    return tuple(point for point, visible in zip(shares, seen, strict=True) if visible >= 0.5)


def _outline(mask: Any, batch: dict[str, Any]) -> tuple[Point, ...]:
    """Return the outline of the largest part of a mask."""
    import cv2
    import numpy as np
    import torch

    parts, _ = cv2.findContours((mask > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not parts:
        return ()
    points = max(parts, key=cv2.contourArea).reshape(-1, 2).astype(np.float32)
    points = points[:: -(-len(points) // _CORNERS)]
    scale = np.array(batch["imgsz"], dtype=np.float32)[::-1] / np.array(mask.shape, dtype=np.float32)[::-1]
    return _shares(torch.from_numpy((points + 0.5) * scale), batch)
