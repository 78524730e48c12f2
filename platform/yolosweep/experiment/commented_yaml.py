"""Experiment files with comments above their keys."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

__all__ = ["commented_yaml", "one_line"]


def one_line(text: str) -> str:
    """Return text that stays within a comment: names of classes and sweeps come from files of others."""
    return "".join(character if character.isprintable() else " " for character in text)


def commented_yaml(content: Mapping[str, Any], comments: Mapping[str, Sequence[str]]) -> str:
    """Return YAML 1.2 with comments above keys.

    Args:
        content: an experiment.
        comments: lines by dotted key.
    """
    yaml = YAML()
    yaml.width = 10_000
    text = io.StringIO()
    yaml.dump(_commented(content, comments), text)
    return text.getvalue()


def _commented(content: Mapping[str, Any], comments: Mapping[str, Sequence[str]], prefix: str = "") -> CommentedMap:
    here = CommentedMap()
    for name, value in content.items():
        key = f"{prefix}{name}"
        here[name] = _commented(value, comments, f"{key}.") if isinstance(value, Mapping) and value else value
        if isinstance(here[name], CommentedMap) and (key in comments or prefix == "search.parameters."):
            here[name].fa.set_flow_style()
        if key in comments:
            text = "\n".join(map(one_line, comments[key]))
            here.yaml_set_comment_before_after_key(name, before=text, indent=2 * key.count("."))
    return here
