"""The files of ``cluster/kuberay/`` against a strict model of what they may hold.

The model is a part of KubeRay's ``ray.io/v1`` and of Kubernetes' own kinds: the keys that the files use, and nothing
else, so a key that is misspelt or in the wrong place is an error here, where the API server would drop it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from ruamel.yaml import YAML

from yolosweep.cluster.jobs import _STOP_WAIT_S

KUBERAY = Path(__file__).resolve().parents[3] / "cluster" / "kuberay"
GRACE_S = 30
"""How long a trial may take to keep its checkpoint after SIGTERM."""

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(m|Mi|Gi)?$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, frozen=True)


class Metadata(Strict):
    name: Name | None = None
    generate_name: str | None = None
    namespace: Literal["yolosweep"] | None = None
    labels: dict[str, str] = {}


class Resources(Strict):
    requests: dict[str, Quantity]
    limits: dict[str, Quantity]

    @model_validator(mode="after")
    def _guaranteed(self) -> Resources:
        if self.requests != self.limits:
            raise ValueError("requests and limits differ: the pod would be the first to be evicted")
        return self


class Capabilities(Strict):
    drop: list[Literal["ALL"]] = Field(min_length=1)


class ContainerSecurity(Strict):
    allow_privilege_escalation: Literal[False]
    capabilities: Capabilities


class Seccomp(Strict):
    type: Literal["RuntimeDefault"]


class PodSecurity(Strict):
    run_as_non_root: Literal[True]
    run_as_user: int = Field(gt=0)
    run_as_group: int = Field(gt=0)
    fs_group: int | None = None
    fs_group_change_policy: Literal["OnRootMismatch"] | None = None
    seccomp_profile: Seccomp


class Variable(Strict):
    name: str
    value: str


class ContainerPort(Strict):
    name: Name
    container_port: int


class Mount(Strict):
    name: Name
    mount_path: str


class Exec(Strict):
    command: list[str] = Field(min_length=1)


class Handler(Strict):
    exec: Exec


class Lifecycle(Strict):
    pre_stop: Handler


class Container(Strict):
    name: Name
    image: str
    lifecycle: Lifecycle | None = None
    security_context: ContainerSecurity
    env: list[Variable] = []
    ports: list[ContainerPort] = []
    resources: Resources
    volume_mounts: list[Mount] = []


class EmptyDir(Strict):
    medium: Literal["Memory"] | None = None
    size_limit: Quantity


class Claim(Strict):
    claim_name: Name


class Volume(Strict):
    name: Name
    empty_dir: EmptyDir | None = None
    persistent_volume_claim: Claim | None = None


class Toleration(Strict):
    key: str
    operator: Literal["Equal", "Exists"]
    value: str | None = None
    effect: Literal["NoSchedule"]


class Pod(Strict):
    restart_policy: Literal["Never"] | None = None
    service_account_name: Name
    automount_service_account_token: bool = True
    security_context: PodSecurity
    termination_grace_period_seconds: int | None = None
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    containers: list[Container] = Field(min_length=1)
    volumes: list[Volume] = []

    @model_validator(mode="after")
    def _mounted(self) -> Pod:
        known = {volume.name for volume in self.volumes}
        for container in self.containers:
            lost = {mount.name for mount in container.volume_mounts} - known
            if lost:
                raise ValueError(f"no volume for {lost}")
        return self


class Template(Strict):
    metadata: Metadata
    spec: Pod


class Auth(Strict):
    mode: Literal["token"]
    secret_name: Name


class Autoscaler(Strict):
    version: Literal["v2"]
    idle_timeout_seconds: int
    resources: Resources
    security_context: ContainerSecurity


class Head(Strict):
    service_type: Literal["ClusterIP"]
    ray_start_params: dict[str, str]
    template: Template


class WorkerGroup(Strict):
    group_name: Name
    replicas: int
    min_replicas: int
    max_replicas: int
    ray_start_params: dict[str, str]
    template: Template

    @model_validator(mode="after")
    def _in_order(self) -> WorkerGroup:
        if not 0 <= self.min_replicas <= self.replicas <= self.max_replicas:
            raise ValueError(f"{self.group_name}: minReplicas <= replicas <= maxReplicas does not hold")
        return self


class ClusterSpec(Strict):
    ray_version: Literal["2.60.0"]
    auth_options: Auth
    enable_in_tree_autoscaling: Literal[True]
    autoscaler_options: Autoscaler
    head_group_spec: Head
    worker_group_specs: list[WorkerGroup]


class RayCluster(Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: Metadata
    spec: ClusterSpec


class Submitter(Strict):
    backoff_limit: int


class JobSpec(Strict):
    entrypoint: Annotated[str, Field(pattern=r"^yolosweep (run|resume) /storage/")]
    submission_mode: Literal["K8sJobMode"]
    backoff_limit: Literal[0]
    shutdown_after_job_finishes: Literal[True]
    ttl_seconds_after_finished: int
    submitter_config: Submitter
    submitter_pod_template: Template
    ray_cluster_spec: ClusterSpec


class RayJob(Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: JobSpec


def load(name: str) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(KUBERAY / name)


def cluster_specs() -> Iterator[ClusterSpec]:
    yield RayCluster.model_validate(load("raycluster.yaml")).spec
    yield RayJob.model_validate(load("rayjob.yaml")).spec.ray_cluster_spec


def test_both_files_hold_only_known_keys_and_are_one_cluster() -> None:
    stays, made_for_a_job = cluster_specs()
    assert stays == made_for_a_job


BREAKS: dict[str, tuple[tuple[str | int, ...], Any, str]] = {
    "a misspelt key": (("spec", "enableInTreeAutoscalling"), True, "Extra inputs are not permitted"),
    "no token": (("spec", "authOptions", "mode"), "disabled", "'token'"),
    "open to the outside": (("spec", "headGroupSpec", "serviceType"), "LoadBalancer", "'ClusterIP'"),
    "root": (("spec", "headGroupSpec", "template", "spec", "securityContext", "runAsUser"), 0, "greater than 0"),
    "another Ray": (("spec", "rayVersion"), "2.59.0", "'2.60.0'"),
    "evicted first": (
        ("spec", "headGroupSpec", "template", "spec", "containers", 0, "resources", "limits"),
        {"cpu": "8"},
        "requests and limits differ",
    ),
    "more wanted than allowed": (("spec", "workerGroupSpecs", 0, "maxReplicas"), 1, "does not hold"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_wrong_is_refused(name: str) -> None:
    path, value, said = BREAKS[name]
    config = copy.deepcopy(load("raycluster.yaml"))
    place: Any = config
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValidationError, match=re.escape(said)):
        RayCluster.model_validate(config)


def test_pods_get_the_time_and_the_memory_that_a_trial_needs() -> None:
    for spec in cluster_specs():
        pods = [spec.head_group_spec.template.spec, *(group.template.spec for group in spec.worker_group_specs)]
        for pod in pods:
            assert pod.termination_grace_period_seconds is not None
            assert pod.termination_grace_period_seconds > GRACE_S
            shm = next(volume.empty_dir for volume in pod.volumes if volume.name == "shm")
            assert shm is not None
            assert shm.medium == "Memory"
            assert {"/dev/shm", "/storage"} <= {mount.mount_path for mount in pod.containers[0].volume_mounts}


def test_a_plain_ray_job_has_as_long_to_stop_as_a_submitted_one() -> None:
    for spec in cluster_specs():
        head = spec.head_group_spec.template.spec.containers[0]
        assert Variable(name="RAY_JOB_STOP_WAIT_TIME_S", value=str(_STOP_WAIT_S)) in head.env


def test_a_worker_pod_that_has_to_go_keeps_the_states_of_its_trials_first() -> None:
    from typer.main import get_command

    from yolosweep.cli.app import app

    for spec in cluster_specs():
        for group in spec.worker_group_specs:
            pod = group.template.spec
            lifecycle = pod.containers[0].lifecycle
            assert lifecycle is not None
            program, name, *words = lifecycle.pre_stop.exec.command
            assert (program, name) == ("yolosweep", "leave")
            context = get_command(app).commands[name].make_context(name, list(words))  # type: ignore[attr-defined]
            assert pod.termination_grace_period_seconds is not None
            assert context.params["grace"] <= GRACE_S < pod.termination_grace_period_seconds


def test_trials_run_on_gpu_pods_and_the_spot_pool_is_tolerated() -> None:
    for spec in cluster_specs():
        assert spec.head_group_spec.ray_start_params["num-cpus"] == "0"
        spot, on_demand = spec.worker_group_specs
        for group in (spot, on_demand):
            assert group.template.spec.containers[0].resources.limits["nvidia.com/gpu"] == "1"
            assert not group.template.spec.automount_service_account_token
        pool = spot.template.spec.node_selector
        assert {t.key: t.value for t in spot.template.spec.tolerations}.items() >= pool.items()
        assert not on_demand.template.spec.node_selector


def test_the_wall_and_the_accounts_are_those_of_the_pods() -> None:
    documents = YAML(typ="safe", pure=True).load_all(KUBERAY / "surroundings.yaml")
    kinds = {document["kind"] + "/" + document["metadata"]["name"]: document for document in documents}
    namespace = kinds["Namespace/yolosweep"]["metadata"]["labels"]
    assert namespace == {"pod-security.kubernetes.io/enforce": "restricted"}
    policy = kinds["NetworkPolicy/yolosweep-ray"]["spec"]
    (label,) = policy["podSelector"]["matchLabels"].items()
    job = RayJob.model_validate(load("rayjob.yaml")).spec
    pods = [job.submitter_pod_template, job.ray_cluster_spec.head_group_spec.template]
    pods += [group.template for group in job.ray_cluster_spec.worker_group_specs]
    for pod in pods:
        assert label in pod.metadata.labels.items()
        assert f"ServiceAccount/{pod.spec.service_account_name}" in kinds
        for volume in pod.spec.volumes:
            claim = volume.persistent_volume_claim
            assert claim is None or f"PersistentVolumeClaim/{claim.claim_name}" in kinds


class Selector(Strict):
    match_labels: dict[str, str] = Field(min_length=1)

    def takes(self, labels: dict[str, str]) -> bool:
        return self.match_labels.items() <= labels.items()


class Peer(Strict):
    """Of another namespace where one is selected, else of the policy's own."""

    pod_selector: Selector
    namespace_selector: Selector | None = None

    def takes(self, namespace: str, pod: dict[str, str]) -> bool:
        if self.namespace_selector is None:
            return namespace == "yolosweep" and self.pod_selector.takes(pod)
        return self.namespace_selector.takes({NAMESPACE: namespace}) and self.pod_selector.takes(pod)


class Port(Strict):
    port: int
    protocol: Literal["TCP"]


class Ingress(Strict):
    """Kubernetes takes an absent or empty ``from`` for everybody, and absent ports for all of them."""

    from_: list[Peer] = Field(alias="from", min_length=1)
    ports: list[Port] | None = Field(None, min_length=1)


class Wall(Strict):
    pod_selector: Selector
    policy_types: list[Literal["Ingress"]] = Field(min_length=1)
    ingress: list[Ingress]

    def lets_in(self, namespace: str, pod: dict[str, str], port: int) -> bool:
        return any(
            any(peer.takes(namespace, pod) for peer in rule.from_)
            and (rule.ports is None or port in [one.port for one in rule.ports])
            for rule in self.ingress
        )


NAMESPACE = "kubernetes.io/metadata.name"
OURS, OPERATOR = {"app.kubernetes.io/part-of": "yolosweep"}, {"app.kubernetes.io/name": "kuberay-operator"}


def network_policy() -> dict[str, Any]:
    documents = YAML(typ="safe", pure=True).load_all(KUBERAY / "surroundings.yaml")
    (told,) = [document for document in documents if document["kind"] == "NetworkPolicy"]
    return told  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("namespace", "pod", "ports"),
    [
        ("yolosweep", OURS, {6379, 8265, 10001, 8076}),
        ("kuberay-system", OPERATOR, {8265}),
        ("yolosweep", OPERATOR, set()),
        ("yolosweep", {}, set()),
        ("default", OURS, set()),
        ("default", OPERATOR, set()),
        ("kuberay-system", OURS, set()),
    ],
)
def test_who_reaches_ray_through_the_wall(namespace: str, pod: dict[str, str], ports: set[int]) -> None:
    told = network_policy()
    assert (told["apiVersion"], told["metadata"]["namespace"]) == ("networking.k8s.io/v1", "yolosweep")
    wall = Wall.model_validate(told["spec"])
    assert {port for port in (6379, 8265, 10001, 8076) if wall.lets_in(namespace, pod, port)} == ports


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("ingress", 1, "from"), [], "at least 1 item"),
        (("ingress", 0), {"form": []}, "Extra inputs are not permitted"),
        (("ingress", 0), {}, "Field required"),
        (("ingress", 0, "from", 0), {"ipBlock": {"cidr": "10.0.0.0/8"}}, "Extra inputs are not permitted"),
        (("ingress", 1, "from", 0, "podSelector"), {}, "Field required"),
        (("ingress", 1, "from", 0, "namespaceSelector"), {"matchLabels": {}}, "at least 1 item"),
        (("ingress", 1, "ports"), [], "at least 1 item"),
        (("podSelector",), {"matchLabels": {}}, "at least 1 item"),
        (("policyTypes",), ["Egress"], "'Ingress'"),
        (("policyTypes",), [], "at least 1 item"),
    ],
)
def test_a_hole_in_the_wall_is_refused(path: tuple[str | int, ...], value: Any, said: str) -> None:
    spec = network_policy()["spec"]
    place: Any = spec
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValidationError, match=re.escape(said)):
        Wall.model_validate(spec)


def test_the_operator_is_let_in_from_where_the_page_installs_it() -> None:
    page = (KUBERAY / "README.md").read_text()
    ((chart, namespace),) = re.findall(r"^helm install \S+ kuberay/(\S+) .*--namespace (\S+)", page, re.MULTILINE)
    wall = Wall.model_validate(network_policy()["spec"])
    assert wall.lets_in(namespace, {"app.kubernetes.io/name": chart}, 8265)
