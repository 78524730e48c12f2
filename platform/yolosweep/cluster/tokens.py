"""Check for and create the token that locks a Ray cluster. It is never printed or logged.

Anyone who can reach Ray can run code on every node, so nothing is sent to another machine without a token. The lookup
rules are those of Ray 2.60 (``ray/_private/authentication`` and its ``AuthenticationTokenLoader``).

:func:`write_token` exists because ``ray get-auth-token --generate`` (2.60.0) prints the token, writes to the default
path only, without fsync or rename, and with the mode that the umask leaves: 0644 by default, which
:func:`require_token` refuses because other users of the machine can read it.
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

_FIX = (
    "create one with `yolosweep token`, copy the file to every node, and set RAY_AUTH_MODE=token and "
    "RAY_AUTH_TOKEN_PATH=FILE both here and where Ray is started"
)


def require_token(address: str, environ: Mapping[str, str], *, key: str = "") -> None:
    """Refuse to connect to another machine without a token.

    Args:
        address: ``http://head:8265``, ``ray://head:10001``, ``head:6379``, ``[::1]:6379``; empty, ``auto`` and
            ``local`` mean this machine.
        environ: the environment that Ray will read.
        key: the option or variable that holds the address, for the message.

    Raises:
        ClusterError: the address is another machine's, and token authentication is off, there is no token, or other
            users can read its file.
    """
    if is_loopback(address):
        return
    mode = environ.get("RAY_AUTH_MODE", "")
    if mode.lower() != "token":
        found = f"RAY_AUTH_MODE is {mode!r}" if mode else "RAY_AUTH_MODE is not set"
        raise ClusterError(
            f"{key}{address} is another machine and {found}: anyone who can reach Ray can run code, so a token is "
            f"required; {_FIX}"
        )
    if environ.get("RAY_AUTH_TOKEN", "").strip():
        return
    named = environ.get("RAY_AUTH_TOKEN_PATH", "")
    _check_file(Path(named) if named else default_path(environ), "RAY_AUTH_TOKEN_PATH" if named else "the default")


def _check_file(path: Path, source: str) -> None:
    try:
        mode = path.stat().st_mode
        empty = not path.read_bytes().strip()
    except OSError as error:
        raise ClusterError(
            f"RAY_AUTH_MODE=token, but there is no token: {path} ({source}): {error.strerror}; {_FIX}"
        ) from None
    if empty:
        raise ClusterError(f"RAY_AUTH_MODE=token, but {path} ({source}) is empty; {_FIX}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ClusterError(
            f"{path} ({source}) holds the cluster's token, but other users can access it (mode "
            f"{stat.S_IMODE(mode):04o}); run chmod 600 {path}"
        )


def is_loopback(address: str) -> bool:
    """Return whether an address can only mean this machine."""
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
    """Return whether an address is one of this machine's; inside a job, RAY_ADDRESS is the head node's own."""
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

    found = set()
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            with contextlib.suppress(ValueError):  # a hardware address
                found.add(ipaddress.ip_address(one.address.partition("%")[0]))
    return found


def default_path(environ: Mapping[str, str]) -> Path:
    """Return the file in which Ray looks for a token by default."""
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".ray" / "auth_token"


def write_token(path: Path) -> None:
    """Write a new 256-bit token to a new file that only its owner can read, atomically.

    Raises:
        UsageError: the file exists, or cannot be written.
    """
    draft = path.parent / f".token.{secrets.token_hex(8)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _write_private(draft, secrets.token_hex(32))
            os.link(draft, path)  # unlike a rename, it fails if the name is taken
        finally:
            draft.unlink(missing_ok=True)
        fsync_folder(path.parent)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            raise UsageError(
                f"{path} exists and is not overwritten: nodes that were started with it would be locked out; "
                "choose another file with --out"
            ) from None
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another file with --out") from error


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        os.fchmod(descriptor, 0o600)  # whatever the umask removes
        out.write(text)
        out.flush()
        os.fsync(descriptor)
