"""The cluster: whether its nodes can do what a sweep asks of them."""

from yolosweep.cluster.data_on_nodes import verify_data as verify_data
from yolosweep.cluster.keyring import adopt as adopt
from yolosweep.cluster.keyring import share as share
from yolosweep.cluster.sealing import secrets_of as secrets_of

__all__ = ["adopt", "secrets_of", "share", "verify_data"]
