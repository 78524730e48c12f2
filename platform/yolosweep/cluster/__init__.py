"""The cluster: jobs, node checks and preparation, credentials, tokens and draining nodes."""

from yolosweep.cluster.credentials import import_credentials as import_credentials
from yolosweep.cluster.credentials import publish_credentials as publish_credentials
from yolosweep.cluster.data_on_nodes import verify_data as verify_data
from yolosweep.cluster.disk_estimate import DiskEstimate as DiskEstimate
from yolosweep.cluster.disk_estimate import checkpoint_needs as checkpoint_needs
from yolosweep.cluster.disk_estimate import disk_needs as disk_needs
from yolosweep.cluster.encryption import secrets_of as secrets_of
from yolosweep.cluster.node_draining import is_draining as is_draining
from yolosweep.cluster.node_draining import training_lock as training_lock
from yolosweep.cluster.node_preparation import preparation as preparation
from yolosweep.cluster.node_preparation import prepare_node as prepare_node
from yolosweep.cluster.node_preparation import with_local_paths as with_local_paths
from yolosweep.cluster.node_preparation import write_view_on_driver as write_view_on_driver
from yolosweep.cluster.node_probe import ProbeRequest as ProbeRequest
from yolosweep.cluster.node_probe import gpu_memory_mb as gpu_memory_mb
from yolosweep.cluster.node_probe import remove_probe as remove_probe
from yolosweep.cluster.node_probe import write_probe as write_probe
from yolosweep.cluster.preflight import Admission as Admission
from yolosweep.cluster.preflight import NodeReport as NodeReport
from yolosweep.cluster.preflight import check_joining_node as check_joining_node
from yolosweep.cluster.preflight import check_nodes as check_nodes
from yolosweep.cluster.preflight import reply_fault as reply_fault
from yolosweep.cluster.tokens import is_own as is_own
from yolosweep.cluster.tokens import require_token as require_token
from yolosweep.cluster.trial_capacity import Allocation as Allocation
from yolosweep.cluster.trial_capacity import fits as fits
