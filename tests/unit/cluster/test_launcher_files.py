"""Ray's launcher files in ``cluster/``, checked without a cloud: by Ray's own schema, and below it the clouds' own."""

from __future__ import annotations

import copy
import os
import subprocess
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from ruamel.yaml import YAML

from yolosweep.cluster.jobs import _STOP_WAIT_S

CLUSTER = Path(__file__).resolve().parents[3] / "cluster"
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
    from jsonschema import ValidationError as SchemaError

    with pytest.raises(SchemaError, match="idle_timeout_minuts"):
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
@pytest.mark.slow
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
def test_a_plain_ray_job_has_as_long_to_stop_as_a_submitted_one(file: Path) -> None:
    (start,) = [command for command in load(file)["head_start_ray_commands"] if "ray start" in command]
    assert f"export RAY_JOB_STOP_WAIT_TIME_S={_STOP_WAIT_S};" in start.partition("ray start")[0]


@pytest.mark.parametrize("file", LAUNCHERS, ids=named)
def test_bash_accepts_every_command(file: Path) -> None:
    told = {key: commands for key, commands in load(file).items() if key.endswith("commands")}
    assert {"setup_commands", "head_start_ray_commands", "worker_start_ray_commands"} <= set(told)
    for command in (command for commands in told.values() for command in commands):
        done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.parametrize("file", LAUNCHERS, ids=named)
def test_a_node_s_shell_finds_ray_and_the_lock(file: Path, tmp_path: Path) -> None:
    (command,) = [command for command in load(file)["setup_commands"] if ".bashrc" in command]
    for _ in range(2):  # `ray up` runs it again
        subprocess.run(["bash", "-c", command], env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, check=True)
    assert len((tmp_path / ".bashrc").read_text().splitlines()) == 1
    shell = subprocess.run(
        ["bash", "-c", "source ~/.bashrc; echo $RAY_AUTH_MODE $RAY_AUTH_TOKEN_PATH ${PATH%%:*}"],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.split() == ["token", f"{tmp_path}/.ray/auth_token", f"{tmp_path}/sweep/bin"]


@pytest.mark.parametrize("file", LAUNCHERS, ids=named)
def test_what_is_mounted_is_there(file: Path) -> None:
    for source in load(file)["file_mounts"].values():
        assert source == "~/.ray/auth_token" or (CLUSTER.parent / source).exists(), source


def test_the_head_is_on_demand_and_the_workers_are_spot() -> None:
    config = load(CLUSTER / "aws" / "cluster.yaml")
    nodes = aws_nodes()
    assert "InstanceMarketOptions" not in nodes[config["head_node_type"]]
    assert nodes["gpu_spot"]["InstanceMarketOptions"]["MarketType"] == "spot"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class BootDisk(Strict):
    disk_size_gb: Annotated[str, Field(pattern=r"^\d+$")]
    """The API takes 64 bit numbers as text."""
    source_image: Annotated[str, Field(pattern=r"^projects/[\w-]+/global/images/(family/)?[\w-]+$")]


class Disk(Strict):
    boot: bool
    auto_delete: Literal[True]
    type: Literal["PERSISTENT"]
    initialize_params: BootDisk


class Scheduling(Strict):
    provisioning_model: Literal["STANDARD", "SPOT"]
    automatic_restart: bool
    on_host_maintenance: Literal["MIGRATE", "TERMINATE"]
    instance_termination_action: Literal["DELETE"] | None = None


class ServiceAccount(Strict):
    email: str
    scopes: list[str]


class Shielded(Strict):
    enable_integrity_monitoring: bool
    enable_vtpm: bool


class Instance(Strict):
    """The keys of Compute Engine's Instance (v1) that the file uses; it is stricter than the API in what they hold."""

    machine_type: str
    disks: list[Disk]
    scheduling: Scheduling
    service_accounts: list[ServiceAccount] = []
    shielded_instance_config: Shielded


def gcp_nodes() -> dict[str, dict[str, Any]]:
    types = load(CLUSTER / "gcp" / "cluster.yaml")["available_node_types"]
    return {name: node["node_config"] for name, node in types.items()}


def test_compute_engine_knows_every_key_of_a_node() -> None:
    nodes = {name: Instance.model_validate(node) for name, node in gcp_nodes().items()}
    assert nodes["head"].scheduling.provisioning_model == "STANDARD"
    assert nodes["gpu_spot"].scheduling.provisioning_model == "SPOT"
    for name in ("gpu_spot", "gpu_on_demand"):
        assert nodes[name].scheduling.on_host_maintenance == "TERMINATE", "a machine with a GPU cannot migrate"
        assert [account.scopes for account in nodes[name].service_accounts] == [
            ["https://www.googleapis.com/auth/devstorage.read_write"]
        ]


def test_a_list_where_compute_engine_wants_an_object_is_seen() -> None:
    node = gcp_nodes()["gpu_spot"]
    node["scheduling"] = [{"preemptible": True}]
    with pytest.raises(ValidationError, match="scheduling"):
        Instance.model_validate(node)
