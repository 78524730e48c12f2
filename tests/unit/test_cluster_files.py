"""The files of ``cluster/``, checked without a cloud: each kind against the schema of the program that reads it."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

CLUSTER = Path(__file__).resolve().parents[2] / "cluster"
LAUNCHERS = sorted(CLUSTER.glob("*/cluster.yaml"))


def load(file: Path) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(file)


def named(file: Path) -> str:
    return file.relative_to(CLUSTER).as_posix()


def check_launcher(config: dict[str, Any]) -> dict[str, Any]:
    """Fill in and check a launcher file the way ``ray up`` does before it asks the cloud."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


@pytest.mark.parametrize("file", LAUNCHERS, ids=named)
def test_ray_up_accepts_the_file(file: Path) -> None:
    prepared = check_launcher(load(file))
    assert prepared["cluster_name"] == "yolosweep"


@pytest.mark.parametrize("file", LAUNCHERS, ids=named)
def test_an_unknown_key_is_refused(file: Path) -> None:
    from jsonschema import ValidationError

    with pytest.raises(ValidationError, match="idle_timeout_minuts"):
        check_launcher({**load(file), "idle_timeout_minuts": 5})


def run_instances_faults(node_config: dict[str, Any]) -> str:
    """Return what the service model of EC2's RunInstances says about a ``node_config``; empty if nothing."""
    from botocore.session import Session
    from botocore.validate import ParamValidator

    shape = Session().get_service_model("ec2").operation_model("RunInstances").input_shape
    return ParamValidator().validate({**node_config, "MinCount": 1, "MaxCount": 1}, shape).generate_report()


def aws_nodes() -> dict[str, dict[str, Any]]:
    types = load(CLUSTER / "aws" / "cluster.yaml")["available_node_types"]
    return {name: node["node_config"] for name, node in types.items()}


@pytest.mark.parametrize("name", aws_nodes())
def test_ec2_knows_every_key_of_a_node(name: str) -> None:
    assert run_instances_faults(aws_nodes()[name]) == ""


def test_a_typo_below_node_config_is_seen() -> None:
    node = aws_nodes()["gpu_spot"]
    node["InstanceMarketOptions"]["SpotOption"] = node["InstanceMarketOptions"].pop("SpotOptions")
    assert 'Unknown parameter in InstanceMarketOptions: "SpotOption"' in run_instances_faults(node)


@pytest.mark.parametrize("file", LAUNCHERS, ids=named)
def test_every_node_is_locked(file: Path) -> None:
    config = load(file)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("chmod 600 ~/.ray/auth_token" in command for command in config["setup_commands"])
    starts = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in config[key]
        if "ray start" in command
    ]
    assert len(starts) == 2
    for command in starts:
        before = command.partition("ray start")[0]
        assert 'export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/.ray/auth_token";' in before
    assert "--dashboard-host=127.0.0.1" in starts[0]


@pytest.mark.parametrize("file", LAUNCHERS, ids=named)
def test_what_is_mounted_is_there(file: Path) -> None:
    for source in load(file)["file_mounts"].values():
        assert source == "~/.ray/auth_token" or (CLUSTER.parent / source).exists(), source


def test_the_head_is_on_demand_and_the_workers_are_spot() -> None:
    config = load(CLUSTER / "aws" / "cluster.yaml")
    nodes = aws_nodes()
    assert "InstanceMarketOptions" not in nodes[config["head_node_type"]]
    assert nodes["gpu_spot"]["InstanceMarketOptions"]["MarketType"] == "spot"


def test_the_constraints_are_the_pins_of_the_package() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pins = dict(re.findall(r"^(\S+)==(\S+)$", (CLUSTER / "constraints.txt").read_text(), re.MULTILINE))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    wanted = re.search(r"^dependencies = \[(.*?)^\]", (CLUSTER.parent / "pyproject.toml").read_text(), re.M | re.S)
    assert wanted is not None
    for text in re.findall(r'^\s*"([^"]+)"', wanted[1], re.MULTILINE):
        needed = Requirement(text)
        assert pins[canonicalize_name(needed.name)] in needed.specifier, text
