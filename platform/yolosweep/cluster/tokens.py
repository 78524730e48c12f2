"""The token that locks a Ray cluster: whether one is set, and how a new one is made. It is never printed or logged.

Whoever reaches Ray can run code on every node, so nothing is sent to another machine without one. The rules are those
of Ray 2.60 (``ray/_private/authentication`` and its ``AuthenticationTokenLoader``).
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from yolosweep.errors import ClusterError, UsageError
from yolosweep.storage.atomic_files import fsync_folder

__all__ = ["default_path", "is_loopback", "is_own", "require_token", "write_token"]

_WAY_OUT = (
    "`yolosweep token` makes one: put the file on every node and start Ray there, and set here, "
    "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE"
)


def require_token(address: str, environ: Mapping[str, str], *, key: str = "") -> None:
    """Refuse to talk to another machine without a token.

    Args:
        address: ``http://head:8265``, ``ray://head:10001``, ``head:6379``, ``[::1]:6379``; empty, ``auto`` and
            ``local`` mean this machine.
        environ: the environment Ray will read.
        key: what the address is the value of, for the message.

    Raises:
        ClusterError: the address is not of this machine and token authentication is off, there is no token, or
            others can read the file that holds it; with the way out.
    """
    if is_loopback(address):
        return
    mode = environ.get("RAY_AUTH_MODE", "")
    if mode.lower() != "token":
        found = f"RAY_AUTH_MODE is {mode!r}" if mode else "RAY_AUTH_MODE is not set"
        raise ClusterError(
            f"{key}{address} is another machine and {found}: whoever reaches Ray can run code, so nothing is sent "
            f"without a token; {_WAY_OUT}"
        )
    if environ.get("RAY_AUTH_TOKEN", "").strip():
        return
    named = environ.get("RAY_AUTH_TOKEN_PATH", "")
    _check_file(Path(named) if named else default_path(environ), "RAY_AUTH_TOKEN_PATH" if named else "the default")


def _check_file(path: Path, whence: str) -> None:
    try:
        mode = path.stat().st_mode
        empty = not path.read_bytes().strip()
    except OSError as error:
        raise ClusterError(
            f"RAY_AUTH_MODE=token, but there is no token: {path} ({whence}): {error.strerror}; {_WAY_OUT}"
        ) from None
    if empty:
        raise ClusterError(f"RAY_AUTH_MODE=token, but {path} ({whence}) is empty; {_WAY_OUT}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ClusterError(
            f"{path} ({whence}) holds the cluster's token and others can open it (mode {stat.S_IMODE(mode):04o}); "
            f"chmod 600 {path}"
        )


def is_loopback(address: str) -> bool:
    """Tell whether an address can only mean this machine."""
    if address.strip() in ("", "auto", "local"):
        return True
    host = _host(address)
    if host.rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_own(address: str) -> bool:
    """Tell whether an address is one of this machine's: the driver of a job knows its cluster by that of the node."""
    try:
        return is_loopback(address) or ipaddress.ip_address(_host(address)) in _own_addresses()
    except ValueError:
        return False


def _host(address: str) -> str:
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""


def _own_addresses() -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return the addresses of this machine's interfaces."""
    import psutil

    told = [one.address.partition("%")[0] for ones in psutil.net_if_addrs().values() for one in ones if one.address]
    found = set()
    for text in told:
        with contextlib.suppress(ValueError):  # a hardware address
            found.add(ipaddress.ip_address(text))
    return found


def default_path(environ: Mapping[str, str]) -> Path:
    """Return where Ray looks for a token if nothing else is said."""
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".ray" / "auth_token"


def write_token(path: Path) -> None:
    """Write a new token of 256 bits to a new file that only its owner can read; it is there whole or not at all.

    Raises:
        UsageError: the file exists, or cannot be written.
    """
    draft = path.parent / f".token.{secrets.token_hex(8)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _write_private(draft, secrets.token_hex(32))
            os.link(draft, path)  # unlike a rename it fails where something has the name
        finally:
            draft.unlink(missing_ok=True)
        fsync_folder(path.parent)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            raise UsageError(
                f"{path} exists and is not overwritten: nodes that were started with it would be locked out; "
                "choose another with --out"
            ) from None
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another with --out") from error


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        os.fchmod(descriptor, 0o600)  # also where the umask would take more away
        out.write(text)
        out.flush()
        os.fsync(descriptor)
