"""Whether the cloud has told this machine that it will be taken away: asked of its metadata service."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Mapping

__all__ = ["CLOUDS", "is_told"]

_TIMEOUT_S = 2.0
_AWS_TOKEN_S = "60"


def is_told(cloud: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Ask once; a service that does not answer has told nothing.

    Args:
        cloud: ``aws`` (``spot/instance-action``, two minutes before) or ``gcp`` (``instance/preempted``, as it begins).
        environ: ``AWS_EC2_METADATA_SERVICE_ENDPOINT`` and ``GCE_METADATA_HOST`` name other services, as in the clouds'
            own libraries.
    """
    try:
        return CLOUDS[cloud](environ)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _aws(environ: Mapping[str, str]) -> bool:
    base = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
    asked = {"X-aws-ec2-metadata-token-ttl-seconds": _AWS_TOKEN_S}
    token = _answer(f"{base}/latest/api/token", asked, method="PUT")
    _answer(f"{base}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})  # else 404
    return True


def _gcp(environ: Mapping[str, str]) -> bool:
    host = environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    place = f"http://{host}/computeMetadata/v1/instance/preempted"
    return _answer(place, {"Metadata-Flavor": "Google"}).strip() == "TRUE"


def _answer(url: str, headers: Mapping[str, str], *, method: str = "GET") -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(url, headers=dict(headers), method=method)
    with direct.open(asked, timeout=_TIMEOUT_S) as answer:
        text: str = answer.read(4096).decode()
    return text


CLOUDS = {"aws": _aws, "gcp": _gcp}
"""Whom this program can ask."""
