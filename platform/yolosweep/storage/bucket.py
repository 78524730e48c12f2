"""Buckets of S3, Google Cloud Storage and Azure: the only place that imports obstore.

obstore's own retries are off: after a write that was retried inside of a library nobody can tell whether a conflict is
with its own first try.
"""

from __future__ import annotations

import contextlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from configparser import ConfigParser, Error
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolosweep.storage.addresses import Address
from yolosweep.storage.backend import CHUNK, Stored, Version
from yolosweep.storage.outage_retry import Conflict, Refused

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["Bucket"]

_AT_ONCE = 4
"""Parts of a file that are uploaded at a time, 5 MiB each: they share the line, and each has to end in time."""
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|specified (bucket|container) does not exist")
_PASSES = (408, 409, 429)
"""4xx that are not about the request."""
_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}


class Bucket:
    """The :class:`~yolosweep.storage.backend.Backend` of a folder in a bucket."""

    def __init__(self, address: Address) -> None:
        with _translated():
            self._store = _open(address)

    def put(self, name: str, content: bytes | Path) -> None:
        """Store an object, or replace it."""
        with _translated():
            self._store.put(name, content, max_concurrency=_AT_ONCE)

    def put_if(self, name: str, content: bytes, version: Version | None) -> Version:
        """Store an object if it still is ``version``."""
        mode: Any = "create" if version is None else dict(version)
        with _translated(conditional=True):
            return _version(self._store.put(name, content, mode=mode))

    def get(self, name: str) -> tuple[bytes, Version]:
        """Return content and version of an object."""
        with _translated():
            found = self._store.get(name)
            return bytes(found.bytes()), _version(found.meta)

    def stream(self, name: str, begin: int = 0) -> Iterator[bytes]:
        """Yield the content of an object from a byte on."""
        with _translated():
            options: Any = {"range": {"offset": begin}} if begin else {}
            yield from self._store.get(name, options=options).stream(CHUNK)

    def head(self, name: str) -> Stored:
        """Return size and time of an object."""
        with _translated():
            return _stored(self._store.head(name))

    def stored(self, below: str) -> list[Stored]:
        """Return all objects below a folder; objects that only stand for a folder are left out."""
        with _translated():
            found = [_stored(one) for one in self._store.list(below or None).collect()]
        folders = {parent.as_posix() for one in found for parent in Path(one.name).parents}
        return [one for one in found if one.name and (one.size or one.name not in folders)]

    def folders(self) -> list[str]:
        """Return the names of the folders right below."""
        with _translated():
            return list(self._store.list_with_delimiter()["common_prefixes"])

    def delete(self, name: str) -> None:
        """Delete an object."""
        with _translated():
            self._store.delete(name)


def _open(address: Address) -> ObjectStore:
    """Return the client; credentials come from the environment."""
    from obstore.store import AzureStore, GCSStore, S3Store

    endpoint = _endpoint(address)
    reach: Any = {
        # A stalled transfer is noticed by the read timeout; the whole of a large file may take long.
        "client_options": {"read_timeout": "30s", "timeout": "1h", "allow_http": endpoint.startswith("http://")},
        "retry_config": {"max_retries": 0},
        "prefix": address.directory or None,
    }
    if address.scheme == "s3":
        return S3Store(address.authority, config=_s3_config(address, endpoint), **reach)
    if address.scheme in ("gs", "gcs"):
        return GCSStore(address.authority, **reach)
    container, _, host = address.authority.partition("@")
    config: Any = {"account_name": host.partition(".")[0], "endpoint": f"https://{host.replace('.dfs.', '.blob.', 1)}"}
    return AzureStore(container, config=config, **reach)


def _endpoint(address: Address) -> str:
    """Return where S3 is, with its scheme; empty for Amazon's own."""
    if address.scheme != "s3":
        return ""
    options = address.options
    named = options.get("endpoint") or options.get("endpoint_override")
    if named is None:
        return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return (named if "://" in named else f"{options.get('scheme', 'https')}://{named}").rstrip("/")


def _s3_config(address: Address, endpoint: str) -> Any:
    config: dict[str, Any] = dict(_shared_credentials(os.environ))
    if endpoint:
        config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
    region = address.options.get("region")
    if region is None and not endpoint and not {"AWS_REGION", "AWS_DEFAULT_REGION"} & os.environ.keys():
        region = _region(address.authority)
    return config | ({"region": region} if region else {})


def _shared_credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of the profile in ``~/.aws/credentials``, which obstore does not read; empty where it has none.

    Raises:
        Refused: ``AWS_PROFILE`` names a profile without keys.
    """
    if environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    file, profiles = environ.get("AWS_SHARED_CREDENTIALS_FILE"), ConfigParser(interpolation=None)
    with contextlib.suppress(Error, OSError, RuntimeError, UnicodeDecodeError):
        profiles.read(file or Path.home() / ".aws" / "credentials")
    profile = environ.get("AWS_PROFILE")
    section = profiles[profile or "default"] if profiles.has_section(profile or "default") else {}
    found = {ours: section[theirs] for theirs, ours in _KEYS.items() if theirs in section}
    if profile and not found:
        raise Refused(
            f"the profile {profile} of AWS_PROFILE has no keys in ~/.aws/credentials; "
            f'export those of a role or of SSO: eval "$(aws configure export-credentials --format env)"'
        )
    return found


def _region(bucket: str, service: str = "https://s3.amazonaws.com") -> str | None:
    """Ask Amazon for the region of a bucket, as it answers everybody; None where it does not say."""
    request = urllib.request.Request(f"{service}/{bucket}", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            region = answer.headers.get("x-amz-bucket-region")
    except urllib.error.HTTPError as error:  # 403 and 301 say it, too
        region = error.headers.get("x-amz-bucket-region")
        error.close()
    except OSError:
        return None
    return None if region is None else str(region)


def _version(found: Mapping[str, Any]) -> Version:
    return {key: str(found[key]) for key in ("e_tag", "version") if found.get(key)}


def _stored(found: Mapping[str, Any]) -> Stored:
    since = found["last_modified"] - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return Stored(str(found["path"]), int(found["size"]), since // timedelta(microseconds=1) * 1000)


@contextlib.contextmanager
def _translated(*, conditional: bool = False) -> Iterator[None]:
    """Raise what a backend raises in place of obstore's errors; a write under a condition may raise ``Conflict``."""
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as error:  # also where the bucket is missing
        if _NO_BUCKET.search(str(error)):
            raise Refused(_said(error)) from error
        raise
    except exceptions.BaseError as error:
        said, text = _said(error), str(error)
        if _NO_BUCKET.search(text) or isinstance(
            error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, exceptions.InvalidPathError)
        ):
            raise Refused(said) from error
        if conditional and isinstance(error, (exceptions.AlreadyExistsError, exceptions.PreconditionError)):
            raise Conflict(said) from error
        status = re.search(r"status code: (\d{3})", text)
        code = int(status[1]) if status else 0
        is_refusal = 400 <= code < 500 and code not in _PASSES and "RequestTimeout" not in text
        if is_refusal or code == 501 or "incorrectly configured region" in text:
            raise Refused(said) from error
        raise OSError(said) from error


def _said(error: BaseException) -> str:
    """Return the cause in one line: status and code of the answer, or the first line without what follows a '?'."""
    text = str(error)
    status = re.search(r"status code: (\d{3}[A-Za-z ]*)", text)
    if status is None:
        return re.sub(r"\?\S*", "", (text.splitlines() or [type(error).__name__])[0])[:300]
    code = re.search(r"<Code>(\w+)</Code>", text)
    return status[1].strip() + (f", {code[1]}" if code else "")
