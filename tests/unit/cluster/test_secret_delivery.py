"""Credentials sealed to a job's driver can be opened by that driver alone, for that job alone."""

import base64

import pytest

from yolosweep.cluster.encryption import Recipient, public_key_in, seal, secrets_of
from yolosweep.cluster.secret_delivery import SecretSender
from yolosweep.errors import ClusterError

SECRETS = {"WANDB_API_KEY": "canary-é", "AWS_SECRET_ACCESS_KEY": "x" * 500}


def sealed_to(recipient: Recipient, job: str) -> bytes:
    key = public_key_in(recipient.line + "\n", job)
    assert key == recipient.public_key
    return seal(SECRETS, key, job)


def test_the_driver_opens_what_was_sealed_to_the_line_it_printed() -> None:
    recipient = Recipient("job")
    sealed = sealed_to(recipient, "job")
    assert recipient.open(sealed) == SECRETS
    assert b"canary" not in sealed
    assert b"WANDB" not in sealed
    assert sealed_to(recipient, "job") != sealed


def test_another_key_is_refused_and_so_is_every_changed_byte() -> None:
    recipient = Recipient("job")
    sealed = sealed_to(recipient, "job")
    with pytest.raises(ValueError, match="not sealed to this job"):
        Recipient("job").open(sealed)
    for place in range(0, len(sealed), 7):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(ValueError, match="sealed"):
            recipient.open(changed)
    for cut in (b"", b"short", sealed[:20], sealed[:40], sealed[:-1], sealed + b"x"):
        with pytest.raises(ValueError, match="sealed"):
            recipient.open(cut)


def test_a_message_for_one_job_cannot_be_replayed_to_another() -> None:
    recipient = Recipient("job")
    with pytest.raises(ValueError, match="not sealed to this job"):
        recipient.open(seal(SECRETS, recipient.public_key, "job-2"))


def test_a_key_line_counts_for_its_own_job_only() -> None:
    line = Recipient("job").line
    assert public_key_in(line, "job") is not None
    assert public_key_in(line, "jo") is None
    assert public_key_in(line[:-5], "job") is None
    assert public_key_in("said: " + line, "job") is None
    assert public_key_in("epoch 3", "job") is None


class Server:
    """Records what a job server would store."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def put(self, name: str, content: bytes) -> None:
        self.stored[name] = content


def test_a_sender_delivers_once_and_only_to_its_own_job() -> None:
    recipient, server = Recipient("job"), Server()
    sender = SecretSender(server, "job", SECRETS)  # type: ignore[arg-type]
    assert not sender.handles("epoch 1")
    assert not sender.handles(Recipient("job-2").line)
    assert sender.handles(recipient.line)
    assert sender.handles(recipient.line)
    (sealed,) = server.stored.values()
    assert recipient.open(sealed) == SECRETS


def test_another_wire_format_is_refused_with_what_to_do() -> None:
    recipient, server = Recipient("job"), Server()
    key = base64.b64encode(recipient.public_key).decode()
    sender = SecretSender(server, "job", SECRETS)  # type: ignore[arg-type]
    for line in (f"yolosweep: public key for job: {key}", f"yolosweep: public key (hpke-9) for job: {key}"):
        with pytest.raises(
            ClusterError, match=r"another format .* submit with the yolosweep version that the job runs"
        ):
            sender.handles(line)
    assert server.stored == {}
    with pytest.raises(ValueError, match=r"not a sealed message of format .* yolosweep version that the job runs"):
        recipient.open(bytes(300))  # the format before: an ephemeral key and ciphertext without a header


def test_an_invalid_key_is_refused() -> None:
    line = f"yolosweep: public key (hpke-1) for job: {base64.b64encode(bytes(32)).decode()}"
    server = Server()
    with pytest.raises(ClusterError):
        SecretSender(server, "job", SECRETS).handles(line)  # type: ignore[arg-type]
    assert server.stored == {}


def test_which_variables_travel() -> None:
    environ = {"WANDB_API_KEY": "a", "AWS_SECRET_ACCESS_KEY": "b", "AZURE_STORAGE_KEY": "c", "AWS_PROFILE": "d"}
    environ |= {"MLFLOW_TRACKING_URI": "h", "MLFLOW_TRACKING_TOKEN": "i", "MLFLOW_RUN_ID": "j"}
    environ |= {"RAY_AUTH_TOKEN": "e", "HOME": "f", "AWS_SESSION_TOKEN": "", "MY_WANDB_API_KEY": "g"}
    mlflow = {"MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN"}
    assert set(secrets_of(environ)) == {"WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY", *mlflow}
