"""What is known of jobs without a cluster: their ids, how they ended, their log, and the packages they need."""

import json
from pathlib import Path

import pytest

from yolosweep.cli.job_driver import main
from yolosweep.cluster.jobs import Job, JobServer, _LogLines, latest, next_id
from yolosweep.cluster.versions import versions
from yolosweep.errors import ClusterError, UsageError
from yolosweep.workflows.job_preparation import other_versions


def job(name: str, status: str = "SUCCEEDED", code: int | None = 0) -> Job:
    return Job(id=name, status=status, driver_code=code, message="", started_s=None, ended_s=None)


def test_the_same_submitted_again_is_counted() -> None:
    jobs = [job("toy-ab"), job("toy-ab-10"), job("toy-ab-9"), job("toy-abc-11"), job("toy-ab-x"), job("x-toy-ab-12")]
    found = latest(jobs, "toy-ab")
    assert found is not None
    assert found.id == "toy-ab-10"
    assert next_id(jobs, "toy-ab") == "toy-ab-11"
    assert latest(jobs, "toy") is None
    assert next_id(jobs, "toy") == "toy"
    assert next_id(jobs[:1], "toy-ab") == "toy-ab-2"


ENDINGS = [("RUNNING", None, None), ("PENDING", None, None), ("SUCCEEDED", 0, 0), ("FAILED", 3, 3), ("FAILED", -9, 137)]
ENDINGS += [("STOPPED", None, 143), ("FAILED", None, 6), ("FAILED", 143, 143)]


@pytest.mark.parametrize(
    ("status", "driver", "expected"),
    ENDINGS,
)
def test_the_exit_code_is_the_sweeps(status: str, driver: int | None, expected: int | None) -> None:
    assert job("toy", status, driver).exit_code == expected


def test_a_log_that_is_read_again_is_told_once() -> None:
    log = "first\nsecond\nthird\nlast"
    told: list[str] = []
    lines = _LogLines(told.append)
    lines.add("first\nsec", 0)
    assert told == ["first"]
    lines.add("first\n", 0)  # the connection broke: from the start again, in other pieces
    lines.add("second\nth", 6)
    lines.add("ird\n", 15)
    assert told == ["first", "second", "third"]
    lines.finish(log)
    assert told == ["first", "second", "third", "last"]


def test_an_address_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ClusterError, match="http://head:8265 is another machine"):
        JobServer("head:8265", {})
    with pytest.raises(UsageError, match="dashboard"):
        JobServer("ray://head:10001", {})


def test_other_packages_are_all_named() -> None:
    sent = {"python": "3.11.2", "torch": "2.10.0", "ray": "2.60.0", "yolosweep": "1"}
    here = {"python": "3.11.9", "torch": "2.14.1", "optuna": "5.0.0", "yolosweep": "2"}
    assert other_versions(sent, here) == [
        "optuna is 5.0.0 here and not installed at the submitter",
        "ray is not installed here and 2.60.0 at the submitter",
        "torch is 2.14.1 here and 2.10.0 at the submitter",
    ]
    assert other_versions({"python": "3.10.1"}, {"python": "3.11.1"}) == [
        "python is 3.11 here and 3.10 at the submitter"
    ]


def test_a_job_on_other_packages_ends_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    Path("versions.json").write_text(json.dumps({**versions(), "torch": "1.0.0"}))
    assert main(["experiment.yaml"]) == 6
    told = capsys.readouterr().err
    assert "torch is" in told
    assert "--allow versions" in told
    assert main(["experiment.yaml", "--allow=versions"]) == 2  # now it looks for the file
