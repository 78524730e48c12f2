"""Every kind of finding of the data checks: its code, severity, fix and predefined text."""

from __future__ import annotations

from typing import Any, NamedTuple

from yolosweep.data.model.safe_paths import printable
from yolosweep.records import Finding, Severity

__all__ = ["CODES", "OUTSIDE", "TEXTS", "USED", "Code", "finding"]

OUTSIDE = "file-outside"
"""Code of files outside the dataset's folders; waiving it includes them."""

_LONGEST = 9000
"""Characters; room for two of the longest paths."""
_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE


class Code(NamedTuple):
    """One kind of finding."""

    severity: Severity
    fix: str
    """Default fix; a finding may carry a more specific one."""


CODES: dict[str, Code] = {
    # data.yaml, folders, archives
    "yaml-bytes": Code(_W, "save data.yaml as UTF-8 and check the class names"),
    "yaml-key-twice": Code(_W, "keep one of the two lines"),
    "yaml-key-renamed": Code(_N, ""),
    "yaml-path-resolved": Code(_N, ""),
    "yaml-path-two": Code(_W, "write path: as an absolute path, so that it does not depend on the working directory"),
    "yaml-path-declared": Code(_N, ""),
    "yaml-test-missing": Code(
        _W, "correct test: or remove it; without a test split every score is biased by the selection"
    ),
    "yaml-download": Code(_N, ""),
    "yaml-names-plain": Code(_N, ""),
    "yaml-names-twice": Code(_W, "give every class a unique name, or merge the classes in the labels"),
    "yaml-names-missing": Code(_W, "write names: with the real class names"),
    "yaml-ndjson": Code(
        _E, "remove .ndjson.yaml: Ultralytics would read the classes from it instead of from the folders"
    ),
    "file-missing": Code(_E, "put the images there, or remove their lines from the list"),
    "file-outside": Code(_E, "if you trust that place, use the files with --allow file-outside"),
    "file-special": Code(_E, "replace it with a regular file, or remove it"),
    "file-unwritable": Code(_E, "rename the files to valid UTF-8 names"),
    "file-name-odd": Code(_W, "rename the files: lists and reports cannot show such names"),
    "file-twice": Code(_W, "list every image once; use train.balance to oversample classes"),
    "file-same-label": Code(_W, "rename one of the images, or keep only one"),
    "file-hidden": Code(_N, "remove them if a macOS zip left them behind (__MACOSX, ._name.jpg)"),
    "file-hidden-class": Code(_E, "remove the hidden folder: Ultralytics counts it as a class and shifts the others"),
    "file-no-class": Code(_W, "move the images into class folders"),
    "file-class-extra": Code(_W, "rename the folder to a class of train, or remove it"),
    "file-class-empty": Code(_W, "put images into the folder, or remove it from every split"),
    "file-suffix": Code(_W, "convert the images to JPEG or PNG"),
    "file-foreign-cache": Code(
        _W, "delete them: an untrusted .cache can run code in Ultralytics, a .npy replaces its image"
    ),
    "file-loop": Code(_W, "remove the link"),
    "file-list-line": Code(_W, "write one image path per line"),
    "file-no-labels": Code(_E, "put the label files there, or check that images and labels have matching names"),
    "file-labels-elsewhere": Code(_N, ""),
    "file-converted": Code(_N, ""),
    "file-converted-part": Code(_W, "check that nothing is lost which the model has to learn"),
    "file-label-case": Code(_N, ""),
    # label files
    "label-class-range": Code(_E, "correct the class number, or add the class to names:"),
    "label-class-name": Code(_E, "write class numbers, counted from 0 in the order of names:"),
    "label-class-fraction": Code(_E, "write whole class numbers"),
    "label-columns": Code(_E, "write one object per line: the class, then the numbers of the task's format"),
    "label-not-number": Code(_E, "correct or remove the line"),
    "label-separator": Code(_E, "separate columns with spaces, and use a decimal point"),
    "label-nan": Code(_E, "correct or remove the line"),
    "label-negative-size": Code(_E, "write center x, center y, width, height, with width and height above 0"),
    "label-outside": Code(_E, "normalize the coordinates to 0 to 1"),
    "label-pixels": Code(_E, "divide x and width by the image width, y and height by the image height"),
    "label-percent": Code(_E, "divide the coordinates by 100, e.g. with yolosweep convert"),
    "label-from-one": Code(
        _E, "lower every class number by 1, e.g. with yolosweep convert; another name in names: would hide the shift"
    ),
    "label-confidence": Code(_E, "remove the last column, e.g. with yolosweep convert"),
    "label-track": Code(_E, "remove the columns after the object, e.g. with yolosweep convert"),
    "label-xywhr": Code(_E, "write the four corners, e.g. with yolosweep convert"),
    "label-pose-rows": Code(_E, "set task: pose and kpt_shape:, or keep the boxes, e.g. with yolosweep convert"),
    "label-dota": Code(_E, "write class numbers and shares of the image size, e.g. with yolosweep convert"),
    "label-mixed": Code(_E, "write either boxes or polygons in a file, not both"),
    "label-boxes-only": Code(_E, "give polygons (segment) or four corners (obb), or set task: detect"),
    "label-pose-box": Code(_E, "normalize the box by the image size, like the keypoints"),
    "label-encoding": Code(_E, "save the file as plain text in UTF-8"),
    "label-too-big": Code(_E, "check what the file is; the labels of one image need far less than 8 MB"),
    "label-unreadable": Code(_E, "make it a readable regular file"),
    "label-missing": Code(_E, "put the label files there; use an empty file for an image without objects"),
    "label-none": Code(_E, "label at least some images of the split"),
    "label-background": Code(_N, ""),
    "label-zero-area": Code(_W, "remove the lines, or correct width and height"),
    "label-obb-corners": Code(_W, "write four corners; other shapes are trained as their smallest enclosing box"),
    "label-orphan": Code(_W, "put the images there, or remove the label files"),
    "label-classes-differ": Code(_W, "check which order the class numbers follow, and correct names:"),
    "label-corners": Code(_W, "write center x, center y, width, height, e.g. with yolosweep convert"),
    "label-left-top": Code(_W, "write center x, center y, width, height, e.g. with yolosweep convert"),
    "label-partly-outside": Code(_N, ""),
    "label-rounding": Code(_N, ""),
    "label-duplicate-row": Code(_N, ""),
    "label-polygon-as-box": Code(_N, ""),
    "label-keypoints-unused": Code(_N, ""),
    "label-stranger": Code(_N, ""),
    "label-machine": Code(_W, "review them in the page that yolosweep autolabel wrote, and correct the wrong ones"),
    "label-machine-eval": Code(_E, "evaluate on human labels: a model agrees with its own predictions"),
    # image files
    "image-unreadable": Code(_E, "replace or remove the image"),
    "image-empty": Code(_E, "replace or remove the image"),
    "image-truncated": Code(_E, "copy the image again from its source, or remove it"),
    "image-rewritten": Code(_W, "copy the images again from their source, or re-save them"),
    "image-format": Code(_E, "convert the image to JPEG or PNG"),
    "image-small": Code(_E, "remove the image; each side needs at least 10 pixels"),
    "image-bomb": Code(_E, "tile the image, or remove it"),
    "image-not-file": Code(_E, "replace it with a regular file, or remove it"),
    "image-depth": Code(_E, "convert the image to 8 or 16 bits per channel"),
    "image-channels": Code(_E, "set channels: in data.yaml to what the images have, or convert the images"),
    "image-huge": Code(_W, "tile the images: small objects vanish when the image is resized to imgsz"),
    "image-16bit": Code(_W, "scale the values to the full 16-bit range, or convert to 8 bits yourself"),
    "image-alpha": Code(_W, "flatten the images onto the intended background"),
    "image-rotated": Code(_W, "check that the labels were drawn on the upright image, or rotate the pixels and labels"),
    "image-frames": Code(_W, "save the frames as separate images"),
    "image-extension": Code(_N, ""),
    "image-cmyk": Code(_N, ""),
    "image-palette": Code(_N, ""),
    "image-grey": Code(_N, ""),
    # leaks and duplicates
    "leak-exact": Code(_E, "keep each image in one split only, e.g. with yolosweep split"),
    "leak-near": Code(_E, "keep all versions of an image in one split, e.g. with yolosweep split"),
    "leak-scene": Code(
        _W, "nothing, if the model is used at these places; else keep each in one split: yolosweep split --by camera"
    ),
    "leak-sequence": Code(_W, "keep all frames and copies of a source in one split, e.g. with yolosweep split"),
    "duplicate-exact": Code(_W, "keep one of each; to oversample, use train.balance"),
    "duplicate-near": Code(_N, "keep one of each, unless the copies are meant as augmentation"),
    "duplicate-conflict": Code(_W, "compare both and correct the wrong labels"),
    # splits and balance
    "balance-boxes-small": Code(_W, "train at a larger imgsz"),
    "balance-class-few": Code(_W, "label more objects of it"),
    "balance-class-unscored": Code(
        _W, "split again, e.g. with yolosweep split, which keeps rare classes in every split"
    ),
    "balance-class-untrained": Code(
        _E, "split again, e.g. with yolosweep split, which keeps rare classes in every split"
    ),
    "balance-class-unused": Code(_N, "remove it from names:, or label it"),
    "balance-empty": Code(_W, "set or search train.balance, e.g. 0.5, or remove some of them"),
    "balance-uneven": Code(_W, "set or search train.balance, e.g. 0.5"),
    "split-test-absent": Code(_N, "hold out some images as test:, e.g. with yolosweep split"),
    "split-test-is-val": Code(_W, "hold out other images as test:, or remove test:"),
    "split-val-empty": Code(_E, "add labelled images to val"),
    "split-val-small": Code(_W, "add more images to val"),
}
"""By code: ``<area>-<what>`` in lower case; the area is yaml, file, label, image, leak, duplicate, balance or split."""

TEXTS = {
    "file-missing": "{n} listed images do not exist, first {file}",
    "file-outside": "{n} files lead outside the dataset's folders (through a link, .. or a list), e.g. to {target}, "
    "and are left out",
    "file-special": "{n} images or labels are pipes, devices, sockets or folders: left out and never opened",
    "file-unwritable": "{n} images have names that are not UTF-8 and are left out: no manifest can list them",
    "file-name-odd": "{n} images have control characters (e.g. a line break) in their names",
    "file-twice": "{n} images are listed more than once; each is used once",
    "file-hidden": "{n} images with hidden names are left out",
    "file-no-class": "{n} images are in no class folder and are not used",
    "file-suffix": "{n} images have a suffix that Ultralytics skips silently (first: {file})",
    "file-foreign-cache": "{n} cache files (.cache, .npy) are next to the images or labels; they are not read here",
    "file-loop": "{n} links lead back to one of their parent folders and are not followed",
    "file-list-line": "{n} lines of the list are not images and are left out, as in Ultralytics",
    "file-label-case": "{n} label files differ from their image's name in case, spaces or suffix; they are used "
    "(first: {file})",
    "file-same-label": "{n} images share their label file with an image of another suffix",
    "label-class-range": "have a class number that names: does not list",
    "label-class-name": "have a name where the class number belongs",
    "label-class-fraction": "have a class number that is not an integer",
    "label-columns": "have the wrong number of columns",
    "label-not-number": "have a value that is not a number",
    "label-separator": "have commas or semicolons",
    "label-nan": "have values that are not finite (NaN, infinity)",
    "label-negative-size": "have a negative width or height",
    "label-outside": "have coordinates above 1.01 or below -0.01",
    "label-pixels": "have pixel coordinates instead of normalized ones",
    "label-percent": "have percentages in place of shares of the image size",
    "label-confidence": "have a confidence after each object, as predictions do",
    "label-track": "have a tracker id after each object",
    "label-xywhr": "have rotated boxes as center, size and angle",
    "label-pose-rows": "have keypoints with a visibility, as COCO pose does",
    "label-dota": "have rows of DOTA: corners in pixels, a class name, a difficulty",
    "label-mixed": "mix boxes and polygons",
    "label-boxes-only": "have boxes where the task needs polygons or corners",
    "label-pose-box": "have a box above 1 with keypoints below: Ultralytics does not check it and trains on it",
    "label-encoding": "are not plain text",
    "label-too-big": "are too large to be label files and were not read",
    "label-unreadable": "cannot be read, so their images count as empty or are left out",
    "label-zero-area": "have boxes without area: no model can find them",
    "label-obb-corners": "do not have four corners: the smallest enclosing box is trained on",
    "label-partly-outside": "have boxes that extend beyond the image: a predicted box cannot match them well",
    "label-rounding": "have values slightly outside 0 to 1: they count as 0 or 1",
    "label-duplicate-row": "have duplicate rows: Ultralytics uses them once",
    "label-polygon-as-box": "have polygons: their bounding boxes are trained on",
    "label-keypoints-unused": "have keypoints: only their boxes are trained on",
    "image-unreadable": "cannot be read: Ultralytics drops them silently",
    "image-empty": "have zero bytes: Ultralytics drops them silently",
    "image-truncated": "are corrupt or truncated: Ultralytics drops them silently, or the training fails when a batch "
    "loads one",
    "image-rewritten": "are JPEGs without a final end marker: plain Ultralytics rewrites them in your folder, with "
    "other pixels; trainings here leave them unchanged and train on what can be decoded",
    "image-format": "have a format that is not read: Ultralytics drops them silently",
    "image-small": "are smaller than 10 pixels: Ultralytics drops them silently",
    "image-bomb": "are too large to decode: Ultralytics drops them silently, or runs out of memory",
    "image-not-file": "are not regular files and were not opened: a training would fail on them, or block forever",
    "image-depth": "have 32 bits per channel: Ultralytics accepts them, and the training fails when a batch loads one",
    "image-channels": "do not have the channels of data.yaml: the training fails when a batch loads one",
    "image-huge": "have more than 89 million pixels and were not decoded",
    "image-16bit": "have 16 bits per channel: only the upper 8 are trained on, so 12-bit values become nearly black",
    "image-alpha": "have transparent parts: transparency is ignored, and the hidden colors beneath, which viewers do "
    "not show, are trained on",
    "image-rotated": "have an EXIF rotation: Ultralytics rotates them upright before training, so their labels must "
    "have been drawn on the upright image, as image viewers show it",
    "image-frames": "have several frames: only the first is trained on",
    "image-extension": "have a suffix that does not match their content: they are read by content",
    "image-cmyk": "are CMYK: they are converted to RGB without a color profile",
    "image-palette": "have a palette: they are converted to RGB",
    "image-grey": "are grayscale: they are read as three equal channels",
}
"""By code: a template of the number of files and the first one, or (label, image) what is wrong with the files."""


USED = "{n} files outside the dataset's folders (through a link, .. or a list) are used, e.g. {target}"
"""Text of :data:`OUTSIDE` where it is waived."""


def finding(code: str, message: str, **more: Any) -> Finding:
    """Return a finding of a known kind; ``more`` sets further fields of :class:`Finding`.

    The message may hold untrusted file and class names, so control characters are escaped (``\\x1b``).
    """
    kind = CODES[code]
    text = {"message": message, "file": more.get("file")}
    safe = {key: printable(value, _LONGEST) for key, value in text.items() if value is not None}
    return Finding(**{"code": code, "severity": kind.severity, "fix": kind.fix, **more, **safe})
