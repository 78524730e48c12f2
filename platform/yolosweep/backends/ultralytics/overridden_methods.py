"""The methods of Ultralytics that our subclasses override; a part of the table in ``patches``."""

from __future__ import annotations

from yolosweep.backends.ultralytics.patch_entry import Patch

__all__ = ["OVERRIDDEN"]

_BASE = "ultralytics.engine.trainer:BaseTrainer"
_DETECT = "ultralytics.models.yolo.detect.train:DetectionTrainer"
_CLASSIFY = "ultralytics.models.yolo.classify.train:ClassificationTrainer"
_DETECT_VAL = "ultralytics.models.yolo.detect.val:DetectionValidator"
_CLASSIFY_VAL = "ultralytics.models.yolo.classify.val:ClassificationValidator"
_ANSWERS = "labels and predictions of each image are kept"
_PER_IMAGE = "results per image, with their matches"
_RESUME = "a resume from full-precision state"


def _override(target: str, why: str, upstream: str, *digests: tuple[str, str], test: str = "exact_resume") -> Patch:
    return Patch(
        target=target, why=why, upstream=upstream, test=f"tests/contract/test_{test}.py", digests=dict(digests)
    )


OVERRIDDEN = (
    _override(
        f"{_BASE}.__init__",
        "threads, loader workers and callbacks are set after Ultralytics has chosen a device",
        "an option for threads on CPU",
        (f"{_BASE}.__init__", "f3ca694aecb8"),
        test="trainer",
    ),
    _override(
        f"{_BASE}._setup_train",
        "a resumed training gets its full-precision state",
        _RESUME,
        (f"{_BASE}._setup_train", "9af303b952f3"),
        (f"{_BASE}.resume_training", "991de22f4a35"),
    ),
    _override(
        f"{_BASE}._do_train",
        "a training stopped after its last epoch only gets its files",
        _RESUME,
        (f"{_BASE}._do_train", "88e5b0a8cfea"),
    ),
    _override(
        f"{_BASE}._build_train_pipeline",
        "the step counter starts with the loop",
        _RESUME,
        (f"{_BASE}._build_train_pipeline", "822af10bd973"),
        (f"{_DETECT}._build_train_pipeline", "3a56373bf4d8"),
    ),
    _override(
        f"{_BASE}.accumulate",
        "the step counter is a local of the loop; read as 1 there, optimizer_step decides",
        "the step counter as an attribute",
        (f"{_BASE}._do_train", "88e5b0a8cfea"),
    ),
    _override(
        f"{_BASE}.optimizer_step",
        "steps follow a counter that a resumed training can restore",
        "the step counter as an attribute",
        (f"{_BASE}.optimizer_step", "330cec599257"),
    ),
    _override(
        f"{_BASE}._oom_retries",
        "no halving of the batch where it would change a training that has rows",
        "an option that turns halving off",
        (f"{_BASE}._do_train", "88e5b0a8cfea"),
    ),
    _override(
        f"{_BASE}.validate",
        "fitness is the searched metric",
        "a metric by name as fitness",
        (f"{_BASE}.validate", "798da274500b"),
        test="trainer",
    ),
    _override(
        f"{_BASE}.save_model",
        "best.pt is written without the optimizer, and only on a gain; the state is a separate file",
        _RESUME,
        (f"{_BASE}.save_model", "de4f31e4a5a1"),
        test="trainer",
    ),
    _override(
        f"{_BASE}.final_eval",
        "only the winner is validated again",
        "an option that skips it",
        (f"{_BASE}.final_eval", "cd8836d308d7"),
        test="trainer",
    ),
    _override(
        f"{_BASE}._handle_nan_recovery",
        "recovery restores the full state and takes other draws, three times",
        _RESUME,
        (f"{_BASE}._handle_nan_recovery", "55a8d996d96d"),
    ),
    _override(
        f"{_BASE}.build_dataset",
        "data sets are pure, and their images shared by all trials of a node",
        "a data set class as an attribute",
        (f"{_DETECT}.build_dataset", "fbbd86bea705"),
        (f"{_CLASSIFY}.build_dataset", "5b18d3ff664e"),
    ),
    _override(
        f"{_BASE}.get_dataloader",
        "the order of images follows from seed and epoch",
        "a sampler as an argument",
        (f"{_DETECT}.get_dataloader", "033ed1a4673d"),
        (f"{_CLASSIFY}.get_dataloader", "0325b019fe4b"),
        ("ultralytics.data.build:build_dataloader", "b0ed29389041"),
    ),
    _override(
        f"{_BASE}._close_dataloader_mosaic",
        "the loader is reset, so its sampler must know the epoch",
        "a sampler as an argument",
        (f"{_BASE}._close_dataloader_mosaic", "1a59de3c1662"),
    ),
    _override(
        f"{_BASE}._setup_ddp",
        "the process group exists already: Ray places the ranks",
        "joining an existing group",
        (f"{_BASE}._setup_ddp", "06022aa38b41"),
        test="ranks",
    ),
    _override(
        "ultralytics.data.base:BaseDataset.__getitem__",
        "every sample seeds its own generators",
        "samples independent of process history",
        ("ultralytics.data.base:BaseDataset.__getitem__", "994af584e835"),
        ("ultralytics.data.dataset:ClassificationDataset.__getitem__", "e5a918e0f4b5"),
    ),
    _override(
        "ultralytics.data.dataset:YOLODataset.build_transforms",
        "mosaics choose from all images, not from a buffer",
        "mosaics independent of process history",
        ("ultralytics.data.dataset:YOLODataset.build_transforms", "aa41b1f1db9d"),
        ("ultralytics.data.augment:BaseMixTransform", "85f91bff165c"),
        ("ultralytics.data.augment:Mosaic.get_indexes", "daf0c6f5f40d"),
    ),
    _override(
        "ultralytics.data.base:BaseDataset.load_image",
        "decoded images come from a store all trials share",
        "a shared cache of decoded images",
        ("ultralytics.data.base:BaseDataset.load_image", "b323c56f1b56"),
        test="image_store",
    ),
    _override(
        "ultralytics.data.dataset:ClassificationDataset.verify_images",
        "previews show images from anywhere, unscanned",
        "a data set of listed images",
        ("ultralytics.data.dataset:ClassificationDataset.verify_images", "ca3f75d7188c"),
        test="preview",
    ),
    _override(
        f"{_DETECT_VAL}.init_metrics",
        _ANSWERS,
        _PER_IMAGE,
        (f"{_DETECT_VAL}.init_metrics", "f268f328b5d1"),
        test="validation",
    ),
    _override(
        f"{_DETECT_VAL}._process_batch",
        _ANSWERS,
        _PER_IMAGE,
        (f"{_DETECT_VAL}.update_metrics", "df46e004bec3"),
        (f"{_DETECT_VAL}._process_batch", "329d56b47f5d"),
        ("ultralytics.models.yolo.segment.val:SegmentationValidator._process_batch", "3fa939d0263c"),
        ("ultralytics.models.yolo.pose.val:PoseValidator._process_batch", "875c9c09c9e5"),
        ("ultralytics.models.yolo.obb.val:OBBValidator._process_batch", "bb100971ed52"),
        test="validation",
    ),
    _override(
        "ultralytics.engine.validator:BaseValidator.match_predictions",
        "the overlaps that were matched are kept",
        _PER_IMAGE,
        ("ultralytics.engine.validator:BaseValidator.match_predictions", "8c15fba0f471"),
        test="validation",
    ),
    _override(
        f"{_DETECT_VAL}.get_stats",
        "what was matched is kept and drawn before it is cleared",
        _PER_IMAGE,
        (f"{_DETECT_VAL}.get_stats", "23ef1373c815"),
        ("ultralytics.utils.metrics:ConfusionMatrix.process_batch", "4d7aa8b0336c"),
        test="validation",
    ),
    _override(
        f"{_CLASSIFY_VAL}.init_metrics",
        _ANSWERS,
        _PER_IMAGE,
        (f"{_CLASSIFY_VAL}.init_metrics", "62b7cee91ad8"),
        test="validation",
    ),
    _override(
        f"{_CLASSIFY_VAL}.update_metrics",
        _ANSWERS,
        _PER_IMAGE,
        (f"{_CLASSIFY_VAL}.update_metrics", "5faeb6e0794f"),
        test="validation",
    ),
    _override(
        f"{_CLASSIFY_VAL}.get_dataloader",
        "a validation that shuffles cannot say which image an answer belongs to",
        "validations in the order of the images",
        (f"{_CLASSIFY_VAL}.get_dataloader", "a88a32e01432"),
        test="validation",
    ),
)
