"""The cluster: whether its nodes can do what a sweep asks of them, and what they need before they do."""

from yolosweep.cluster.data_on_nodes import verify_data as verify_data
from yolosweep.cluster.farewell import at_work as at_work
from yolosweep.cluster.farewell import is_leaving as is_leaving
from yolosweep.cluster.keyring import adopt as adopt
from yolosweep.cluster.keyring import share as share
from yolosweep.cluster.node import lay_down as lay_down
from yolosweep.cluster.node import localised as localised
from yolosweep.cluster.node import preparation as preparation
from yolosweep.cluster.node import prepare_node as prepare_node
from yolosweep.cluster.preflight import Admission as Admission
from yolosweep.cluster.preflight import NodeReport as NodeReport
from yolosweep.cluster.preflight import arrived as arrived
from yolosweep.cluster.preflight import look_at_nodes as look_at_nodes
from yolosweep.cluster.preflight import look_beside as look_beside
from yolosweep.cluster.probe import Asked as Asked
from yolosweep.cluster.probe import plant as plant
from yolosweep.cluster.probe import uproot as uproot
from yolosweep.cluster.room import Room as Room
from yolosweep.cluster.room import room_for as room_for
from yolosweep.cluster.room import room_of as room_of
from yolosweep.cluster.sealing import secrets_of as secrets_of
from yolosweep.cluster.slots import Slots as Slots
from yolosweep.cluster.slots import fits as fits
from yolosweep.cluster.tokens import is_own as is_own
from yolosweep.cluster.tokens import require_token as require_token
