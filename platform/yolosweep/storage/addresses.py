"""Addresses of object storage: one rule of what is accepted, wherever an address is taken.

An address is recorded, printed and sent to trackers, so it must not be able to hold a secret: options are taken from a
list per scheme, each with the form of its value, and everything else is refused. A refusal names the option, no value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import quote, unquote

__all__ = ["Address", "address_fault", "is_address", "redacted"]

_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d{1,5})?"
_ENDPOINT = rf"(?:https?://)?{_HOST}/?"
_BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{0,221}"
_CONTAINER = r"(?:\$root|[A-Za-z0-9][A-Za-z0-9-]{0,62})@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_S3_OPTIONS = {
    "region": r"[a-z0-9-]{1,32}",
    "scheme": "https?",
    "endpoint": _ENDPOINT,
    "endpoint_override": _ENDPOINT,
}
_AZURE_OPTIONS = {"enable_tls": "true|1"}

_SCHEMES: dict[str, tuple[str, dict[str, str]]] = {
    "s3": (_BUCKET, _S3_OPTIONS),
    "gs": (_BUCKET, {}),
    "gcs": (_BUCKET, {}),
    "abfs": (_CONTAINER, _AZURE_OPTIONS),
    "abfss": (_CONTAINER, _AZURE_OPTIONS),
    "file": ("(?:localhost)?", {}),
}
"""Scheme: the form of what follows ``://``, and the options that have an effect with the form of their values."""

_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_SECRET = "the address holds credentials, which would be recorded; put them into the environment"


@dataclass(frozen=True, kw_only=True)
class Address:
    """A folder in an object storage; parsed, so known to hold no secret."""

    scheme: str
    authority: str
    """The bucket, or ``container@account.dfs.core.windows.net``."""
    path: str
    """As written, without a slash at its end."""
    query: str
    """As written, with its question mark; empty where there are no options."""

    @classmethod
    def parse(cls, text: str, *, holds: str = "a run folder") -> Address:
        """Return the address that a text spells.

        Args:
            text: e.g. ``s3://bucket/sweeps?region=eu-west-1``.
            holds: what it is to hold, for the message.

        Raises:
            ValueError: with the rule that is broken and the fix; it repeats no value of an option.
        """
        if (fault := address_fault(text, holds=holds)) is not None:
            raise ValueError(fault)
        found = _PARTS.fullmatch(text)
        assert found is not None, "address_fault has matched it"
        scheme, authority, path, query, _ = found.groups()
        return cls(scheme=scheme, authority=authority, path=path.rstrip("/"), query=query or "")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}{self.query}"

    @property
    def name(self) -> str:
        """The last part of the path, decoded."""
        return unquote(self.path.rpartition("/")[2])

    @property
    def parent(self) -> Address:
        """The folder above."""
        return replace(self, path=self.path.rpartition("/")[0])

    @property
    def directory(self) -> str:
        """The path, decoded, without slashes around it."""
        return unquote(self.path).strip("/")

    @cached_property
    def options(self) -> dict[str, str]:
        """The options, decoded."""
        return {key: unquote(value) for key, _, value in _pairs(self.query)}

    def join(self, name: str) -> Address:
        """Return the address of a folder or file below; the options stay."""
        return replace(self, path=f"{self.path}/{quote(name)}")


def is_address(text: str) -> bool:
    """Return whether a place is named by an address instead of a path."""
    return "://" in text or re.match(r"(?:[A-Za-z][A-Za-z0-9+.-]+)?:/", text) is not None


def redacted(text: str) -> str:
    """Return a place as it may be shown before it is checked: of an address only scheme, host and path."""
    if not is_address(text):
        return text
    scheme, _, rest = text.partition(":")
    place = re.split("[?#]", rest.lstrip("/"), maxsplit=1)[0]
    host, slash, path = place.rpartition("@")[2].partition("/")
    is_plain = scheme.isalnum() and re.fullmatch(r"[A-Za-z0-9._:-]*", host)
    return f"{scheme}://{host}{slash}{path}" if is_plain else "an address"


def address_fault(text: str, *, holds: str = "a run folder") -> str | None:
    """Return what keeps an address from being taken, with the fix; None where nothing does."""
    found = _PARTS.fullmatch(text)
    if found is None:
        return "this is no address; write it as s3://bucket/folder"
    scheme, authority, path, query, fragment = found.groups()
    if scheme not in _SCHEMES:
        if "@" in authority or query or fragment:
            return _SECRET
        if holds == "data" and scheme.lower() in ("http", "https", "ftp"):
            return (
                f"{text} is not fetched: the server would decide what is trained on; "
                "download the data set, check it, and give its path"
            )
        known = ", ".join(name for name in _SCHEMES if name not in ("gcs", "abfss"))
        return f"{scheme}:// cannot hold {holds}; use a folder, or an address such as s3://bucket/sweeps ({known})"
    form, allowed = _SCHEMES[scheme]
    if not authority and scheme != "file":
        return "the address names no bucket; write s3://bucket/sweeps"
    if not re.fullmatch(form, authority):
        if ("@" in authority and form is not _CONTAINER) or ":" in authority:
            return _SECRET
        like = "abfs://container@account.dfs.core.windows.net" if form is _CONTAINER else f"{scheme}://bucket"
        return f"what follows {scheme}:// is not in the form of {like}; check its name"
    if fragment is not None:
        return "the address has a part after '#'; remove it, or write %23 where it belongs to a name"
    return _path_fault(path) or _option_fault(query or "", allowed)


def _path_fault(path: str) -> str | None:
    parts = [unquote(part) for part in path.strip("/").split("/")] if path.strip("/") else []
    if any(part in ("", ".", "..") or not part.isprintable() or re.search("[/?]", part) for part in parts):
        return "the path of the address has a part that is empty, '.', '..', or holds a sign no name may; correct it"
    return None


def _option_fault(query: str, allowed: dict[str, str]) -> str | None:
    seen: set[str] = set()
    for key, equals, value in _pairs(query):
        if not equals or not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", key) or key in seen:
            return f"the address has an option that is not written once as name=value; {_fix(allowed)}"
        if key not in allowed:
            return f"the address has the option {key}, which is not taken; {_fix(allowed)}"
        if not re.fullmatch(allowed[key], unquote(value)):
            return f"the option {key} of the address has a value of another form; correct or remove it"
        seen.add(key)
    return None


def _fix(allowed: dict[str, str]) -> str:
    known = f"options are {', '.join(allowed)}" if allowed else "remove it"
    return f"{known}; credentials would be recorded: put them into the environment"


def _pairs(query: str) -> list[tuple[str, str, str]]:
    return [option.partition("=") for option in query[1:].split("&")] if len(query) > 1 else []
