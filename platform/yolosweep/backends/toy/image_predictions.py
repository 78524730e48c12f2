"""What the toy answers on each image: a class per crop."""

from __future__ import annotations

from yolosweep.backends.toy.crops import Crops
from yolosweep.backends.toy.model import RedModel
from yolosweep.records.image_predictions import Answer, Shape

__all__ = ["answers_of"]


def answers_of(model: RedModel, crops: Crops) -> tuple[Answer, ...]:
    """Return the answers per image; a prediction has the box of the crop that it is for."""
    from PIL import Image

    shares = model.predict(crops.mean_red)
    found = []
    crops_of: dict[int, list[int]] = {}
    for at, number in enumerate(crops.image.tolist()):
        crops_of.setdefault(number, []).append(at)
    for number, chosen in sorted(crops_of.items()):
        file = crops.files[number]
        with Image.open(file) as image:
            width, height = image.size
        chosen.sort(key=lambda at: -abs(shares[at] - 0.5))
        same = tuple(tuple(float(at == other) for other in chosen) for at in chosen)
        found.append(
            Answer(
                image=str(file),
                width=width,
                height=height,
                labels=tuple(Shape(name=crops.kinds[int(crops.is_red[at])], box=crops.boxes[at]) for at in chosen),
                predictions=tuple(_prediction(float(shares[at]), crops, at) for at in chosen),
                fits=same,
                overlaps=same,
            )
        )
    return tuple(found)


def _prediction(share: float, crops: Crops, at: int) -> Shape:
    is_red = share > 0.5
    confidence = round(share if is_red else 1 - share, 4)
    return Shape(name=crops.kinds[int(is_red)], box=crops.boxes[at], confidence=confidence)
