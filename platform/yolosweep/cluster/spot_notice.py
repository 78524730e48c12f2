"""Ask the cloud's metadata service whether this spot machine has a preemption notice."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Mapping

__all__ = ["CLOUDS", "has_notice"]

_TIMEOUT_S = 2.0
_AWS_TOKEN_S = "60"


def has_notice(cloud: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this machine has a preemption notice; False if the service does not answer.

    Args:
        cloud: ``aws`` (``spot/instance-action``, two minutes ahead) or ``gcp`` (``instance/preempted``, as it begins).
        environ: ``AWS_EC2_METADATA_SERVICE_ENDPOINT`` and ``GCE_METADATA_HOST`` override the service, as in the
            clouds' own libraries.
    """
    try:
        return CLOUDS[cloud](environ)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _aws(environ: Mapping[str, str]) -> bool:
    base = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
    token = _fetch(f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": _AWS_TOKEN_S}, method="PUT")
    _fetch(f"{base}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})  # 404 without a notice
    return True


def _gcp(environ: Mapping[str, str]) -> bool:
    host = environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    url = f"http://{host}/computeMetadata/v1/instance/preempted"
    return _fetch(url, {"Metadata-Flavor": "Google"}).strip() == "TRUE"


def _fetch(url: str, headers: Mapping[str, str], *, method: str = "GET") -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=dict(headers), method=method)
    with direct.open(request, timeout=_TIMEOUT_S) as answer:
        text: str = answer.read(4096).decode()
    return text


CLOUDS = {"aws": _aws, "gcp": _gcp}
"""The supported clouds."""
