"""``cluster/aws/cluster.yaml`` as Ray's own code uses it, against a server of the EC2 and IAM protocols.

The server is a stand-in (moto): it keeps what it is told, starts no machine and checks no right. What Ray asks of it,
and that the file can be read that way, is real.
"""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

REGION = "us-east-1"


@pytest.fixture
def launched(s3: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One machine of each node type, launched by Ray's provider: name to what EC2 then tells of it."""
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{s3}",
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),  # where Ray keeps the key pair it makes
    }.items():
        monkeypatch.setenv(name, value)
    import boto3
    from ray.autoscaler._private.providers import _NODE_PROVIDERS
    from ray.autoscaler._private.util import prepare_config

    iam, ec2 = boto3.client("iam", REGION), boto3.client("ec2", REGION)
    for profile in ("yolosweep-head", "yolosweep-worker"):
        with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):  # of the test before
            iam.create_instance_profile(InstanceProfileName=profile)
    config = prepare_config(YAML(typ="safe", pure=True).load(repository / "cluster" / "aws" / "cluster.yaml"))
    provider_type = _NODE_PROVIDERS["aws"](config["provider"])
    config = provider_type.bootstrap_config(config)
    provider = provider_type(config["provider"], config["cluster_name"])
    found = {}
    for name, node in config["available_node_types"].items():
        tags = {"ray-node-type": "worker", "ray-node-name": name, "ray-user-node-type": name}
        (instance,) = provider.create_node(copy.deepcopy(node["node_config"]), tags, 1)
        (reservation,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        (found[name],) = reservation["Instances"]
    return found


@pytest.mark.slow
def test_from_outside_only_ssh_comes_in(launched: dict[str, Any]) -> None:
    import boto3

    groups = {group["GroupId"] for machine in launched.values() for group in machine["SecurityGroups"]}
    told = boto3.client("ec2", REGION).describe_security_groups(GroupIds=sorted(groups))["SecurityGroups"]
    open_to_all = []
    for rule in (rule for group in told for rule in group["IpPermissions"]):
        assert {pair["GroupId"] for pair in rule["UserIdGroupPairs"]} <= groups  # else from its own machines alone
        assert not rule.get("PrefixListIds")
        assert not rule.get("Ipv6Ranges")
        if rule["IpRanges"]:
            open_to_all.append((rule["IpProtocol"], rule["FromPort"], rule["ToPort"]))
    assert open_to_all == [("tcp", 22, 22)] * len(groups)


@pytest.mark.slow
def test_ray_launches_what_the_file_says(launched: dict[str, Any]) -> None:
    assert {name: machine["InstanceType"] for name, machine in launched.items()} == {
        "head": "m7i.xlarge",
        "gpu_spot": "g6.2xlarge",
        "gpu_on_demand": "g6.2xlarge",
    }
    assert [name for name, machine in launched.items() if machine.get("InstanceLifecycle") == "spot"] == ["gpu_spot"]
    for name, machine in launched.items():
        role = "yolosweep-head" if name == "head" else "yolosweep-worker"
        assert machine["IamInstanceProfile"]["Arn"].endswith(f"/{role}")
        assert machine["MetadataOptions"]["HttpTokens"] == "required"
        assert {tag["Key"]: tag["Value"] for tag in machine["Tags"]}["ray-cluster-name"] == "yolosweep"
