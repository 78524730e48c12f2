"""What is sealed to a job's driver is opened by it alone."""

import pytest

from yolosweep.cluster.encryption import Recipient, public_key_in, seal, secrets_of

SECRETS = {"WANDB_API_KEY": "canary-é", "AWS_SECRET_ACCESS_KEY": "x" * 500}


def sealed_to(lock: Recipient, job: str) -> bytes:
    key = public_key_in(lock.line + "\n", job)
    assert key is not None
    return seal(SECRETS, key, job)


def test_the_driver_opens_what_was_sealed_to_the_line_it_printed() -> None:
    lock = Recipient("job")
    sealed = sealed_to(lock, "job")
    assert lock.open(sealed) == SECRETS
    assert b"canary" not in sealed
    assert sealed_to(lock, "job") != sealed


def test_nobody_else_can_and_a_changed_byte_is_told() -> None:
    lock = Recipient("job")
    sealed = sealed_to(lock, "job")
    with pytest.raises(ValueError, match="not sealed to this job"):
        Recipient("job").open(sealed)
    for place in range(0, len(sealed), 7):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(ValueError, match="sealed"):
            lock.open(changed)
    with pytest.raises(ValueError, match="no sealed message"):
        lock.open(b"short")


def test_a_line_is_taken_for_its_own_job_only() -> None:
    line = Recipient("job").line
    assert public_key_in(line, "job") is not None
    assert public_key_in(line, "jo") is None
    assert public_key_in(line[:-5], "job") is None
    assert public_key_in("said: " + line, "job") is None
    assert public_key_in("epoch 3", "job") is None


def test_which_variables_travel() -> None:
    environ = {"WANDB_API_KEY": "a", "AWS_SECRET_ACCESS_KEY": "b", "AZURE_STORAGE_KEY": "c", "AWS_PROFILE": "d"}
    environ |= {"RAY_AUTH_TOKEN": "e", "HOME": "f", "AWS_SESSION_TOKEN": "", "MY_WANDB_API_KEY": "g"}
    assert set(secrets_of(environ)) == {"WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY"}
