"""Where the ranks of a trial meet: on the node's own address, not on all interfaces.

By default torch's TCP store listens on every interface (``::``), and gloo on the address that the hostname resolves to.
Both speak without authentication, so they belong on the interface of the cluster.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from contextlib import suppress
from typing import Any

__all__ = ["Rendezvous", "bind_transport", "interface_of", "tcp_url"]

_BACKLOG = 128


class Rendezvous:
    """A TCP store on one of this machine's addresses. Keep a reference while ranks join.

    If no interface has the address (a node behind NAT), it listens on all of them.

    Args:
        node_ip: this node's address, as the other nodes reach it.
    """

    def __init__(self, node_ip: str) -> None:
        import torch.distributed as dist

        listener = _listen(node_ip)
        port = listener.getsockname()[1]
        self.url = tcp_url(node_ip, port)
        """The address for all ranks, as torch's ``init_method``."""
        # Multi-tenant: rank 0's init_process_group finds this store by its port instead of starting another one.
        self._store: Any = dist.TCPStore(
            node_ip, port, is_master=True, wait_for_workers=False, multi_tenant=True, master_listen_fd=listener.detach()
        )


def tcp_url(host: str, port: int) -> str:
    """Return ``tcp://host:port``, with an IPv6 literal in brackets."""
    with suppress(ValueError):
        if ipaddress.ip_address(host).version == 6:
            host = f"[{host}]"
    return f"tcp://{host}:{port}"


def bind_transport(node_ip: str) -> None:
    """Make gloo listen on the interface of this node's address; call it before the process group is made.

    A variable that the user set stays. NCCL chooses among the GPUs' networks by itself and is left alone.
    """
    interface = interface_of(node_ip)
    if interface is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)


def interface_of(address: str) -> str | None:
    """Return the network interface that has an address; None if there is none."""
    import psutil

    for name, entries in psutil.net_if_addrs().items():
        if any(_same(entry.address, address) for entry in entries):
            return str(name)
    return None


def _same(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one.partition("%")[0]) == ipaddress.ip_address(other.partition("%")[0])
    except ValueError:  # a hardware address
        return False


def _listen(node_ip: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in node_ip else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.bind((node_ip, 0))
    except OSError:
        listener.bind(("", 0))
    listener.listen(_BACKLOG)
    return listener
