"""The cluster: whether its nodes can do what a sweep asks of them."""

from yolosweep.cluster.data_on_nodes import verify_data as verify_data

__all__ = ["verify_data"]
