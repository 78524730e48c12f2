"""Addresses of object storage: what is taken, and that a secret in one is shown, recorded and sent nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from yolosweep.cli.app import app
from yolosweep.storage.addresses import Address, address_fault, is_address, redacted

CANARY = "c4n4ryc4n4ry"
FORMS = [
    f"s3://key:{CANARY}@bucket/x",
    f"s3://{CANARY}@bucket/x",
    f"s3://bucket/x?X-Amz-Signature={CANARY}",
    f"s3://bucket/x?region=eu-west-1&access_key=a&secret_key={CANARY}",
    f"s3://bucket/x?endpoint_override=https://u:{CANARY}@host",
    f"s3://bucket/x?region={CANARY.upper()}",
    f"s3://bucket/x?%74oken={CANARY}",
    f"s3://bucket/x?{CANARY}",
    f"s3://bucket/x#password={CANARY}",
    f"s3:/bucket/x?token={CANARY}",
    f"gs://bucket/x?token={CANARY}",
    f"abfs://c@acct.dfs.core.windows.net/sweeps?sv=2024-11-04&sp=rwl&sig={CANARY}",
    f"abfs://c:{CANARY}@acct.dfs.core.windows.net/sweeps",
    f"https://acct.blob.core.windows.net/c/x.zip?sig={CANARY}",
    f"ftp://u:{CANARY}@host/x",
    f"file:///mnt/x?password={CANARY}",
    f"nonsense://x?sas={CANARY}",
    f"://u:{CANARY}@x",
]


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/sweeps",
        "s3://bucket?endpoint_override=127.0.0.1:9&scheme=http&region=eu-west-1",
        "s3://bucket/x?endpoint=https://minio.example.org",
        "gs://bucket/a/b",
        "gcs://bucket_1/a",
        "abfs://container@account.dfs.core.windows.net/sweeps",
        "abfss://container@account.dfs.core.windows.net/sweeps?enable_tls=true",
        "file:///mnt/my%20sweeps",
    ],
)
def test_an_address_of_a_storage_is_taken_for_runs_and_for_data(address: str) -> None:
    assert address_fault(address) is None
    assert address_fault(address, holds="data") is None
    assert str(Address.parse(address)) == address


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://me@bucket/x", "holds credentials.*into the environment"),
        ("s3://bucket/x?access_key=1", "option access_key.*options are region.*into the environment"),
        ("abfs://c@a.dfs.core.windows.net/x?sig=1", "option sig, which is not taken.*into the environment"),
        ("gs://bucket/x?project_id=1", "option project_id.*remove it"),
        ("s3://bucket/x?region=EU", "option region of the address has a value of another form"),
        ("s3://bucket/x?region=a&region=b", "not written once as name=value"),
        ("https://bucket/x", "https:// cannot hold a run folder.*s3://bucket/sweeps"),
        ("s3:///x", "names no bucket"),
        ("s3://a bucket/x", "not in the form of s3://bucket"),
        ("abfs://container/x", r"not in the form of abfs://container@account\.dfs"),
        ("s3://bucket/../x", "a part that is empty"),
        ("s3://bucket/%2e%2e%2fx", "a part that is empty"),
        ("s3://bucket/a//x", "a part that is empty"),
        ("file://host/x", "not in the form"),
        ("s3:/bucket/x", "no address; write it as s3://bucket/folder"),
    ],
)
def test_a_refusal_names_what_is_wrong_and_the_fix(address: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Address.parse(address)


def test_an_address_is_split_and_joined() -> None:
    address = Address.parse("s3://bucket/a%20b/c/?region=eu-west-1")
    assert (address.name, address.directory, address.options) == ("c", "a b/c", {"region": "eu-west-1"})
    assert str(address.parent) == "s3://bucket/a%20b?region=eu-west-1"
    assert str(address.join("d e")) == "s3://bucket/a%20b/c/d%20e?region=eu-west-1"
    assert address.join("d e").name == "d e"
    assert address.join("d").parent == address


def test_paths_are_no_addresses() -> None:
    for path in ("runs", "./a:b", "/mnt/x", "sample:parking", "a.yaml", "C:/x"):
        assert not is_address(path)
        assert redacted(path) == path


@given(
    before=st.sampled_from(["", "s3:", "abfs:", "https:", "x:"]),
    text=st.text(st.sampled_from("ab:/?#@[]%&=. \n;"), max_size=12),
    end=st.sampled_from("?#"),
)
@settings(deadline=None)
def test_what_is_shown_of_an_unchecked_address_holds_no_user_option_or_fragment(
    before: str, text: str, end: str
) -> None:
    for address in (f"{before}//{CANARY}@{text}", f"{before}//{text}{end}{CANARY}"):
        if is_address(address):
            shown = redacted(address).partition("//")[2].partition("/")[0] if "@" in address else redacted(address)
            assert CANARY not in shown
            assert CANARY not in (address_fault(address) or "") or address_fault(address) == address


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that is the working folder, too."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def experiment(place: Path, **keys: str) -> str:
    content = {"name": "e", "model": "toy/red", "data": "gone.yaml", **keys}
    lines = [f"{key}: {value!r}" for key, value in content.items()]
    (place / "e.yaml").write_text("\n".join([*lines, "search: {parameters: {lr0: {min: 0.1, max: 1.0}}}"]) + "\n")
    return "e.yaml"


NOBODY = ("--address", "http://127.0.0.1:9")
COMMANDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "plan": (3, ("plan", "EXPERIMENT", "storage=ADDRESS")),
    "run": (3, ("run", "EXPERIMENT", "storage=ADDRESS")),
    "run data": (3, ("run", "EXPERIMENT", "data=ADDRESS")),
    "run --dry-run": (3, ("run", "EXPERIMENT", "--dry-run", "data=ADDRESS")),
    "submit": (3, ("submit", "EXPERIMENT", "storage=ADDRESS", *NOBODY)),
    "submit data": (3, ("submit", "EXPERIMENT", "data=ADDRESS", *NOBODY)),
    "doctor": (3, ("doctor", "EXPERIMENT", "storage=ADDRESS", *NOBODY)),
    "submit --resume": (7, ("submit", "--resume", "ADDRESS", *NOBODY)),
    "resume": (7, ("resume", "ADDRESS")),
    "best": (7, ("best", "ADDRESS")),
    "show": (7, ("show", "ADDRESS")),
    "ls": (7, ("ls", "ADDRESS")),
    "report": (7, ("report", "ADDRESS")),
    "track push": (7, ("track", "push", "ADDRESS")),
    "check": (4, ("check", "ADDRESS")),
    "init": (4, ("init", "ADDRESS")),
    "split": (4, ("split", "ADDRESS", "--out", "set")),
    "autolabel": (4, ("autolabel", "ADDRESS", "--weights", "w.pt", "--out", "labels")),
    "plan ADDRESS": (2, ("plan", "ADDRESS")),
}


def holders(place: Path) -> list[str]:
    """Return the files and folders that hold the canary, in their content or their name."""
    found = [str(path) for path in place.rglob("*") if CANARY in path.name.lower()]
    files = [path for path in place.rglob("*") if path.is_file() and path.name != "e.yaml"]
    return found + [str(path) for path in files if CANARY.encode() in path.read_bytes().lower()]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.slow
def test_no_command_shows_or_keeps_a_secret_of_an_address(command: str, place: Path) -> None:
    code, words = COMMANDS[command]
    source = experiment(place)
    for form in FORMS:
        given = [word.replace("ADDRESS", form).replace("EXPERIMENT", source) for word in words]
        done = CliRunner().invoke(app, given)
        assert done.exit_code == code, (form, done.output, done.exception)
        assert CANARY not in done.output.lower(), (form, done.output)
        assert holders(place) == [], form


@pytest.mark.parametrize("key", ["storage", "data"])
@pytest.mark.slow
def test_a_secret_in_an_experiment_file_is_refused_with_its_line(key: str, place: Path) -> None:
    for form in FORMS:
        done = CliRunner().invoke(app, ["run", experiment(place, **{key: form})])
        assert done.exit_code == 3, (form, done.output)
        assert f"{key} (line " in done.output
        assert CANARY not in done.output.lower(), (form, done.output)
        assert holders(place) == []
        assert "runs" not in os.listdir(place)


def test_an_address_in_a_data_yaml_is_refused_without_its_options(place: Path) -> None:
    (place / "data.yaml").write_text(f"train: https://host/x?sig={CANARY}\nval: s3://u:{CANARY}@b/x\nnames: [a]\n")
    done = CliRunner().invoke(app, ["check", "data.yaml"])
    assert done.exit_code == 4
    assert "is an address" in done.output
    assert CANARY not in done.output
