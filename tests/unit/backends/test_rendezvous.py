"""Ranks meet on the node's own address: real sockets and a real process group of two processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import psutil
import pytest

from yolosweep.backends.ultralytics.rendezvous import _listen, bind_transport, interface_of, tcp_url

RANK = """
import os, sys, psutil
from yolosweep.backends.ultralytics.ddp import enter_group
from yolosweep.backends.ultralytics.rendezvous import Rendezvous, bind_transport

rank, node_ip = int(sys.argv[1]), sys.argv[2]
bind_transport(node_ip)
if rank == 0:
    meeting = Rendezvous(node_ip)
    print(meeting.url, flush=True)
enter_group(rank, 2, meeting.url if rank == 0 else sys.argv[3], on_gpu=False)
import torch, torch.distributed as dist
total = torch.ones(1)
dist.all_reduce(total)
assert total.item() == 2
listening = {(c.laddr.ip, c.laddr.port) for c in psutil.Process().net_connections() if c.status == "LISTEN"}
dist.barrier()
print(*sorted({ip for ip, _ in listening}), flush=True)
dist.destroy_process_group()
"""


def addresses(family: int) -> list[str]:
    """Return this machine's addresses of a family, without link-local ones, which need a scope."""
    found = [one.address for ones in psutil.net_if_addrs().values() for one in ones if one.family == family]
    return [address for address in found if not address.startswith("fe80")]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("10.0.0.7", "tcp://10.0.0.7:29500"),
        ("fd00::1", "tcp://[fd00::1]:29500"),
        ("::1", "tcp://[::1]:29500"),
        ("head.example", "tcp://head.example:29500"),
    ],
)
def test_an_ipv6_address_is_put_in_brackets(host: str, url: str) -> None:
    assert tcp_url(host, 29500) == url


def test_the_interface_of_an_address_is_found() -> None:
    assert interface_of("127.0.0.1") is not None
    for address in addresses(socket.AF_INET) + addresses(socket.AF_INET6):
        assert interface_of(address) is not None
    assert interface_of("203.0.113.9") is None
    assert interface_of("head.example") is None


def test_an_interface_that_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "ib0")
    bind_transport("127.0.0.1")
    assert os.environ["GLOO_SOCKET_IFNAME"] == "ib0"


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", RANK, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_ranks_listen_on_the_interface_of_the_node_alone(family: int) -> None:
    own = addresses(family)
    if not own:
        pytest.skip("this machine has no IPv6 address")
    node_ip = own[-1]
    name = interface_of(node_ip)
    allowed = {one.address.partition("%")[0] for one in psutil.net_if_addrs()[str(name)]}
    first = start("0", node_ip)
    assert first.stdout is not None
    url = first.stdout.readline().strip()
    second = start("1", node_ip, url)
    told = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert node_ip in told[0].split()  # the store
    for text in told:
        assert set(text.split()) <= allowed, "another interface is open, or all of them"


def test_where_no_interface_has_the_address_of_the_node_it_listens_on_all() -> None:
    with _listen("203.0.113.9") as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
