"""Every change to Ultralytics is in the table, and the upstream code it depends on is what it was written for."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from yolosweep.backends.ultralytics.patch_entry import Patch
from yolosweep.backends.ultralytics.patches import PATCHES, replaced

ROOT = Path(__file__).resolve().parents[2]


def source_of(place: str) -> str:
    """Return the source of ``module:name`` as ``inspect.getsource`` does, but of the file: this process is patched."""
    module, _, path = place.partition(":")
    package, *parts = module.split(".")
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    below = Path(spec.origin).parent.joinpath(*parts)
    text = (below / "__init__.py" if below.is_dir() else below.with_suffix(".py")).read_text(encoding="utf-8")
    node: Any = ast.parse(text)
    for name in path.split("."):
        node = next(child for child in node.body if getattr(child, "name", None) == name)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def digest_of(place: str) -> str:
    return hashlib.sha256(source_of(place).encode()).hexdigest()[:12]


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: f"{patch.target.partition(':')[2]} ({patch.why[:20]})")
def test_what_a_patch_depends_on_has_not_changed(patch: Patch) -> None:
    assert patch.digests, "name the upstream code it depends on"
    for place, recorded in patch.digests.items():
        found = digest_of(place)
        assert found == recorded, (
            f"{place} has changed. yolosweep changes {patch.target} because {patch.why}. Read the new source; if the "
            f"change is still right, run {patch.test} and record {found!r}; if it is not needed any more, remove it"
        )


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.target.partition(":")[2])
def test_a_patch_says_why_and_is_tested(patch: Patch) -> None:
    assert patch.why
    assert patch.upstream
    assert (ROOT / patch.test).is_file()


def listed(base: type[Any]) -> set[str]:
    """Return the attributes of a class of Ultralytics that the table lists, also of its bases."""
    names = {f"{cls.__module__}:{cls.__qualname__}" for cls in base.__mro__}
    return {patch.target.rpartition(".")[2] for patch in PATCHES if patch.target.rpartition(".")[0] in names}


def overridden(ours: type[Any]) -> set[str]:
    """Return what classes of ours define that a class of Ultralytics below them defines, too."""
    mine = [cls for cls in ours.__mro__ if cls.__module__.startswith("yolosweep.")]
    theirs = [cls for cls in ours.__mro__ if cls.__module__.startswith("ultralytics.")]
    names = {name for cls in mine for name in vars(cls)}
    return {name for name in names if any(name in vars(cls) for cls in theirs)} - {"__module__", "__doc__", "__dict__"}


@pytest.mark.parametrize("task", ["detect", "segment", "classify", "pose", "obb"])
def test_no_method_of_a_trainer_is_overridden_unlisted(task: str) -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from yolosweep.backends.ultralytics.tasks import class_of
    from yolosweep.backends.ultralytics.trainer_mixins import make_trainer_class

    base = class_of(task, "Trainer")
    ours: Any = make_trainer_class(base, None, None, threads=1, workers=0)  # type: ignore[arg-type]
    unlisted = overridden(ours) - listed(base) - {"__annotations__", "__weakref__", "__static_attributes__"}
    assert unlisted - {"__firstlineno__", "__annotate_func__", "__annotations_cache__"} == set()


@pytest.mark.parametrize("task", ["detect", "segment", "classify", "pose", "obb"])
def test_no_method_of_a_validator_is_overridden_unlisted(task: str) -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from yolosweep.backends.ultralytics.recording_validator import keeping

    ours = keeping(task)
    assert {name for name in overridden(ours) if not name.startswith("__")} <= listed(ours)


def test_no_method_of_a_data_set_is_overridden_unlisted() -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from yolosweep.backends.ultralytics import image_order

    for ours in (image_order.PureYOLODataset, image_order.PureClassificationDataset):
        (base,) = [cls for cls in ours.__bases__ if cls.__module__.startswith("ultralytics.")]
        known = listed(base) | ({"__getitem__"} if base.__name__ == "ClassificationDataset" else set())
        plain = {name for name in overridden(ours) - known if not name.startswith("__") or name == "__getitem__"}
        assert plain == set()


def test_only_what_is_listed_can_be_replaced() -> None:
    with pytest.raises(AssertionError, match="not in the table"), replaced("json:dumps", None):
        pass


def test_a_replacement_ends_with_its_block() -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    import ultralytics.data.build as build

    before = build.YOLODataset
    with replaced("ultralytics.data.build:YOLODataset", int):
        assert build.YOLODataset is int
    assert build.YOLODataset is before


def test_a_process_that_trains_has_no_integrations() -> None:
    from yolosweep.backends.ultralytics.training_environment import enter

    enter()
    from ultralytics.utils import callbacks

    assert callbacks.add_integration_callbacks(object()) is None  # the original reads the instance's callbacks
