"""Nothing is sent to another machine without a token, and a token is never shown."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from yolosweep.cluster.tokens import is_loopback, is_own, require_token, write_token
from yolosweep.errors import ClusterError, UsageError

HERE = ["", "auto", "local", "http://localhost:8265", "http://127.0.0.1:8265", "https://127.8.9.1", "localhost:6379"]
HERE += ["127.0.0.1:6379", "ray://localhost:10001", "http://[::1]:8265", "[::1]:6379", "http://localhost.:8265/"]
THERE = ["http://head:8265", "https://10.0.0.1:8265", "ray://10.0.0.1:10001", "head:6379", "10.0.0.1:6379"]
THERE += ["http://[fe80::1]:8265", "http://0.0.0.0:8265", "http://localhost.evil.example:8265", "http://[::1"]
THERE += ["http://127.0.0.1@evil.example:8265", "http://127.0.0.1.evil.example"]


@pytest.mark.parametrize("address", HERE)
def test_this_machine_needs_no_token(address: str) -> None:
    assert is_loopback(address)
    require_token(address, {})


@pytest.mark.parametrize("address", THERE)
def test_another_machine_is_refused_without_one(address: str, tmp_path: Path) -> None:
    for environ in ({}, {"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "t"}):
        with pytest.raises(ClusterError, match="yolosweep token"):
            require_token(address, {**environ, "HOME": str(tmp_path)})
    require_token(address, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t"})


def test_the_file_is_the_one_ray_reads(tmp_path: Path) -> None:
    environ = {"RAY_AUTH_MODE": "TOKEN", "HOME": str(tmp_path), "RAY_AUTH_TOKEN": "  "}
    with pytest.raises(ClusterError, match=r"there is no token: .*\.ray/auth_token"):
        require_token("head:6379", environ)
    write_token(tmp_path / ".ray" / "auth_token")
    require_token("head:6379", environ)
    named = tmp_path / "other"
    with pytest.raises(ClusterError, match="RAY_AUTH_TOKEN_PATH"):  # the default is not looked at then
        require_token("head:6379", {**environ, "RAY_AUTH_TOKEN_PATH": str(named)})
    named.write_text(" \n")
    with pytest.raises(ClusterError, match="is empty"):
        require_token("head:6379", {**environ, "RAY_AUTH_TOKEN_PATH": str(named)})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "token"
    write_token(path)
    path.chmod(mode)
    with pytest.raises(ClusterError, match=f"chmod 600 {path}"):
        require_token("head:6379", {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)})


def test_a_new_token_is_written_once_and_for_its_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_token(tmp_path / "a" / "token")
        write_token(tmp_path / "b" / "token")
    finally:
        os.umask(before)
    first, second = ((tmp_path / name / "token").read_text() for name in "ab")
    assert len(bytes.fromhex(first)) == 32
    assert first != second
    assert stat.S_IMODE((tmp_path / "a" / "token").stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="not overwritten"):
        write_token(tmp_path / "a" / "token")
    assert (tmp_path / "a" / "token").read_text() == first


def test_a_token_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(descriptor: int) -> None:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", die)
        with pytest.raises(Killed):
            write_token(tmp_path / "token")
    assert list(tmp_path.iterdir()) == []
    write_token(tmp_path / "token")
    assert [one.name for one in tmp_path.iterdir()] == ["token"]


def test_a_place_that_can_hold_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "token", Path("/")):
        with pytest.raises(UsageError, match="choose another file with --out"):
            write_token(place)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_machine_knows_its_own_addresses() -> None:
    import psutil

    own = [one.address for ones in psutil.net_if_addrs().values() for one in ones if "." in one.address]
    assert own
    assert all(is_own(f"{address}:6379") for address in own)
    assert is_own("127.0.0.1:6379")
    for address in ("203.0.113.7:6379", "head:6379", "http://[::1", "0.0.0.0:6379"):
        assert not is_own(address)


@pytest.mark.slow
def test_a_cluster_elsewhere_is_not_spoken_to_without_a_token(shell: Any, repository: Path, tmp_path: Path) -> None:
    for words in (("run", repository / "jobs" / "experiments" / "toy.yaml"), ("doctor",)):
        done = shell(*words, code=6, RAY_ADDRESS="203.0.113.7:6379")
        assert "RAY_ADDRESS=203.0.113.7:6379 is another machine and RAY_AUTH_MODE is not set" in done.err
        assert "yolosweep token" in done.err
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.slow
def test_the_command_says_where_and_what_to_set_but_not_the_token(shell: Any, home: Path, tmp_path: Path) -> None:
    done = shell("token", "--out", "secret")
    path = tmp_path / "secret"
    assert done.out.splitlines()[-2:] == ["export RAY_AUTH_MODE=token", f"export RAY_AUTH_TOKEN_PATH={path}"]
    assert path.read_text() not in done.out + done.err
    assert "not overwritten" in shell("token", "--out", "secret", code=2).err
