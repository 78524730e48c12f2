"""The cluster: whether its nodes can do what a sweep asks of them, and what they need before they do."""

from yolosweep.cluster.data_on_nodes import verify_data as verify_data
from yolosweep.cluster.node import lay_down as lay_down
from yolosweep.cluster.node import localised as localised
from yolosweep.cluster.node import preparation as preparation
from yolosweep.cluster.node import prepare_node as prepare_node

__all__ = ["lay_down", "localised", "preparation", "prepare_node", "verify_data"]
