"""The cluster: whether its nodes can do what a sweep asks of them, and what they need before they do."""

from yolosweep.cluster.data_on_nodes import verify_data as verify_data
from yolosweep.cluster.keyring import adopt as adopt
from yolosweep.cluster.keyring import share as share
from yolosweep.cluster.node import lay_down as lay_down
from yolosweep.cluster.node import localised as localised
from yolosweep.cluster.node import must_be_prepared as must_be_prepared
from yolosweep.cluster.node import prepare_node as prepare_node
from yolosweep.cluster.sealing import secrets_of as secrets_of

__all__ = [
    "adopt",
    "lay_down",
    "localised",
    "must_be_prepared",
    "prepare_node",
    "secrets_of",
    "share",
    "verify_data",
]
