"""The model card, ``winner/README.md``: what the winner is, what it was measured on, and how to use it.

Its front matter is that of Hugging Face. Names of classes, files and sweeps may be anybody's, so no text from a run is
interpreted as Markdown, HTML or YAML.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ruamel.yaml import YAML

from yolosweep.backends import backend_for
from yolosweep.backends.checkpoint_export import CardFacts
from yolosweep.diagnosis.verdict import judge
from yolosweep.experiment import defaults_of
from yolosweep.ledger.history import History
from yolosweep.ledger.verdict_evidence import evidence_of
from yolosweep.records.dataset_results import PreparedDataset
from yolosweep.records.events import SweepEnded, Winner, WinnerSelected
from yolosweep.records.export import ExportedWinner
from yolosweep.records.trial_columns import setting_text, short_metric
from yolosweep.records.verdict import SweepVerdict

__all__ = ["model_card"]

_LONGEST = 300
"""Characters of a name or sentence."""
_SPECIAL = re.compile(r"([\\`*_\[\]|~#$])")
_MIB = 2.0**20


def model_card(history: History, winner: Winner, exports: Mapping[str, ExportedWinner]) -> str:
    """Return the card of a winner, whether or not the ledger records it yet.

    Args:
        history: the sweep.
        winner: its winner.
        exports: the winner in other formats, by name.
    """
    ended = history.ended or SweepEnded(status="finished")
    decided = replace(history, winner=WinnerSelected(**dict(winner)), ended=ended, listeners=())
    verdict = judge(evidence_of(decided, defaults_of(str(history.experiment["model"]))))
    task = str(history.experiment["task"])
    deployment = backend_for(winner.model).deployment()
    facts = deployment.card(task, winner.settings) if deployment else None
    name, dataset = str(history.experiment["name"]), history.dataset
    parts = (
        _front_matter(name, task, winner, dataset, facts),
        f"# {_text(name)}",
        _introduction(history, winner, task),
        f"> {_text(verdict.sentence)}",
        _usage(facts),
        _scores(winner, verdict),
        _classes(winner),
        _data(dataset),
        _training(history, winner),
        _limits(winner, verdict),
        _exports(exports),
        _reproduce(winner),
        "## License\n\n" + (facts.license_note if facts else "The license of yolosweep: AGPL-3.0-or-later."),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(name: str, task: str, winner: Winner, dataset: PreparedDataset, facts: CardFacts | None) -> str:
    """Return the metadata that Hugging Face reads."""
    about: dict[str, Any] = {"tags": ["yolosweep", *([facts.library, "yolo"] if facts else []), task]}
    if facts is not None:
        about |= {"library_name": facts.library, "pipeline_tag": facts.pipeline_tag, "license": facts.license}
    metrics = [short_metric(key) for key in winner.validations["val"].metrics if key.startswith("metrics/")]
    about |= {"metrics": metrics, "model-index": [{"name": _plain(name), "results": _results(winner, dataset, facts)}]}
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.allow_unicode = False, False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(about, text)
    return f"---\n{text.getvalue()}---"


def _results(winner: Winner, dataset: PreparedDataset, facts: CardFacts | None) -> list[dict[str, Any]]:
    data = {"name": _plain(_tail(dataset.source)), "type": "custom"}
    task = facts.pipeline_tag if facts else dataset.task
    return [
        {
            "task": {"type": task},
            "dataset": {**data, "split": split},
            "metrics": [
                {"type": short_metric(key), "name": f"{short_metric(key)} ({split})", "value": value}
                for key, value in validation.metrics.items()
                if key.startswith("metrics/") and value is not None
            ],
        }
        for split, validation in winner.validations.items()
    ]


def _introduction(history: History, winner: Winner, task: str) -> str:
    count = sum(trial.score is not None for trial in history.searched)
    metric, repeats = _text(short_metric(winner.metric)), ""
    by = " as a mean over new seeds" if history.repeats(winner.settings_trial) else ""
    if winner.repeats is not None:
        repeats = f", which repeats {_text(winner.repeats)} with another seed"
    return (
        f"A {_text(task)} model, trained from {_text(_tail(winner.model))}. It is trial {_text(winner.trial)} of the "
        f"sweep {_text(history.sweep)}{repeats}, the best of {count} trials with a score by {metric} on val{by}. Its "
        "file was verified and validated again."
    )


def _usage(facts: CardFacts | None) -> str:
    if facts is None:
        return "## Use\n\nThis model shows how yolosweep works and cannot be used outside of it."
    return (
        f"## Use\n\n`pip install {facts.library}` is all that is needed; [best.pt](best.pt) is the model.\n\n"
        f"```python\n{facts.usage}```"
    )


def _scores(winner: Winner, verdict: SweepVerdict) -> str:
    """Return the metrics per split, and the comparison with trial 0 where there is one."""
    names = [key for key in winner.validations["val"].metrics if key.startswith("metrics/")]
    rows = [
        [split, *(_number(validation.metrics.get(name)) for name in names)]
        for split, validation in winner.validations.items()
    ]
    table = _table(["split", *map(short_metric, names)], rows)
    if not verdict.comparisons:
        return f"## Scores\n\n{table}"
    compared = [
        [
            *(one.split, one.images, _number(one.score), _number(one.reference_score)),
            *(_number(one.difference, sign="+"), f"{_number(one.low, sign='+')} to {_number(one.high, sign='+')}"),
        ]
        for one in verdict.comparisons
    ]
    heads = ["split", "images", verdict.trial or "best", verdict.reference_name, "difference", "95 % interval"]
    metric = _text(short_metric(winner.metric))
    return f"## Scores\n\n{table}\n\n{metric}, compared on the same images:\n\n{_table(heads, compared)}"


def _classes(winner: Winner) -> str:
    """Return the metrics per class of test, or of val."""
    split = next((name for name in ("test", "val") if _has_classes(winner, name)), None)
    if split is None:
        return ""
    per_class = winner.validations[split].per_class
    names = list(next(iter(per_class.values())))
    rows = [[label, *(_number(values.get(name)) for name in names)] for label, values in per_class.items()]
    return f"### Per class ({split})\n\n{_table(['class', *map(short_metric, names)], rows)}"


def _has_classes(winner: Winner, split: str) -> bool:
    return split in winner.validations and bool(winner.validations[split].per_class)


def _data(dataset: PreparedDataset) -> str:
    rows = [
        [split, images, sum(dataset.instances.get(split, {}).values()) or "", _share(dataset.leaks.get(split))]
        for split, images in dataset.images.items()
    ]
    classes = ", ".join(_text(name) for name in dataset.names.values())
    return (
        f"## Data\n\n{_text(_tail(dataset.source))}, fingerprint `{_code(dataset.fingerprint)}` (SHA-256 over names, "
        f"splits and the content of every image and label).\n\n"
        f"{_table(['split', 'images', 'objects', 'also in another split'], rows)}\n\n"
        f"{len(dataset.names)} classes: {classes}."
    )


def _training(history: History, winner: Winner) -> str:
    asked = history.trials[winner.trial].request.asked if winner.trial in history.trials else {}
    rows = [[name, setting_text(winner.settings.get(name, value))] for name, value in asked.items()]
    table = f"{_table(['searched setting', 'value'], rows)}\n\n" if rows else ""
    versions = ", ".join(_text(f"{name} {version}") for name, version in winner.versions.items())
    made = f"All settings are in [args.yaml](args.yaml). Trained with {versions or 'unknown versions'}."
    return f"## Training\n\n{table}{made}"


def _limits(winner: Winner, verdict: SweepVerdict) -> str:
    general = (
        "The scores hold for images like those of val and test: other cameras, places, light and objects were not "
        "measured.",
        "It was trained once; another seed gives another score."
        if verdict.seeds is None
        else f"Other seeds of its settings score {verdict.seeds.mean(winner.settings_trial):.4f} on average.",
    )
    return f"## Limits\n\n{_list((*winner.caveats, *verdict.details, *winner.passed_over, *general))}"


def _exports(exports: Mapping[str, ExportedWinner]) -> str:
    if not exports:
        return ""
    rows = [
        [
            *(name, "accepted" if export.is_accepted else "refused", f"{export.size / _MIB:.1f} MiB"),
            *(_number(export.score), _number(export.difference, sign="+")),
            f"{export.latency.exported_ms:.1f} ms ({export.latency.checkpoint_ms:.1f} ms)",
        ]
        for name, export in exports.items()
    ]
    heads = ["export", "", "size", "score on val", "difference to best.pt", "latency (best.pt)"]
    how = next(iter(exports.values())).latency.how
    return f"## Exports\n\n{_table(heads, rows)}\n\nScores on square images. {_text(how)}"


def _reproduce(winner: Winner) -> str:
    return (
        "## Reproduce\n\nWith yolosweep installed, `yolosweep run reproduce.yaml` in this folder trains it again on "
        "the same data, which [reproduce.yaml](reproduce.yaml) names by their path.\n\n"
        f"SHA-256 of the weights, the same if it is trained again on such a machine: `{_code(winner.weights_sha256)}`. "
        f"SHA-256 of best.pt, which also holds its date: `{_code(winner.file.sha256)}`. "
        "[winner.json](winner.json) is this card for programs."
    )


def _tail(path: str) -> str:
    """Return the end of a path: the rest is about a machine, and a card is published."""
    return "/".join(re.split(r"[/\\]", path.rstrip("/\\"))[-2:]).lstrip("/")


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    body = (line(_text(cell) for cell in row) for row in rows)
    return "\n".join([line(map(_text, heads)), line("---" for _ in heads), *body])


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_text(sentence)}" for sentence in _unique(sentences))


def _unique(sentences: Iterable[str]) -> Iterator[str]:
    return iter(dict.fromkeys(sentences))


def _number(value: float | None, *, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.4f}"


def _share(value: float | None) -> str:
    return f"{value:.1%}" if value else ""


def _plain(value: object) -> str:
    """Return text in one line, without characters that show nothing or turn the direction of writing."""
    text = "".join(char if char.isprintable() else " " for char in str(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(value: object) -> str:
    """Return text that shows as it is in Markdown, also in a cell of a table."""
    return _SPECIAL.sub(r"\\\1", html.escape(_plain(value), quote=False))


def _code(value: str) -> str:
    """Return text for a code span."""
    return _plain(value).replace("`", "'")
