"""The W&B sweep of a search: its configuration, and that it is made once and found again, whatever was lost."""

import json

import pytest

from yolosweep.ledger import RunFolder
from yolosweep.tracking.wandb_sweep import JoinedSweep, WandbSweep, sweep_config

SWEEP = "cars-20260101-120000-ab12"
SPACE = {
    "lr0": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
    "momentum": {"min": 0.6, "max": 0.98},
    "batch": {"values": [8, 16]},
    "imgsz": {"distribution": "q_uniform", "min": 320, "max": 640, "q": 32},
    "warmup_epochs": {"min": 0, "max": 5},
    "optimizer": {"value": "AdamW"},
}
SEARCH = {"searcher": "gp", "metric": "metrics/mAP50-95(B)", "mode": "max", "trials": 20, "parameters": SPACE}


class TestConfig:
    def test_it_is_the_search_space_with_a_local_controller(self):
        assert sweep_config(SWEEP, SEARCH) == {
            "name": SWEEP,
            "method": "bayes",
            "metric": {"name": "best_score", "goal": "maximize"},
            "parameters": {
                "lr0": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
                "momentum": {"distribution": "uniform", "min": 0.6, "max": 0.98},
                "batch": {"distribution": "categorical", "values": [8, 16]},
                "imgsz": {"distribution": "q_uniform", "min": 320, "max": 640, "q": 32},
                "warmup_epochs": {"distribution": "int_uniform", "min": 0, "max": 5},
                "optimizer": {"distribution": "constant", "value": "AdamW"},
            },
            "controller": {"type": "local"},
        }

    def test_nothing_in_it_lets_the_server_stop_a_run_or_end_the_sweep(self):
        assert not {"run_cap", "early_terminate", "schedule", "program", "command"} & set(
            sweep_config(SWEEP, SEARCH) or {}
        )

    @pytest.mark.parametrize(
        ("searcher", "space", "method"),
        [
            ("tpe", SPACE, "bayes"),
            ("random", SPACE, "random"),
            ("qmc", SPACE, "random"),
            ("grid", {"batch": {"values": [8, 16]}}, "grid"),
            ("grid", SPACE, "random"),
            ("of-another-package", SPACE, "bayes"),
        ],
    )
    def test_the_searcher_has_a_method_of_wandb(self, searcher, space, method):
        config = sweep_config(SWEEP, {**SEARCH, "searcher": searcher, "parameters": space})
        assert config is not None
        assert config["method"] == method

    def test_less_is_better_in_mode_min(self):
        config = sweep_config(SWEEP, {**SEARCH, "mode": "min"})
        assert config is not None
        assert config["metric"]["goal"] == "minimize"

    @pytest.mark.parametrize("search", [{}, {"parameters": None}, {"parameters": {}}, {"parameters": {"x": 3}}])
    def test_a_search_without_parameters_is_no_sweep(self, search):
        assert sweep_config(SWEEP, search) is None


class Recorder:
    """A server that notes requests and answers as W&B does."""

    def __init__(self):
        self.requests, self.sweeps, self.joined = [], {}, {}

    def answer(self, query, **variables):
        self.requests.append((query.split("(")[0].split()[-1], variables))
        if "upsertSweep" in query:
            kept = self.sweeps.setdefault(variables["id"] or "U3dl", {"id": "U3dl", "name": "ab12cd34"})
            kept["state"] = variables["state"]
            return {"upsertSweep": {"sweep": kept}}
        if "run(name:" in query:
            name = self.joined.get(variables["run"])
            return {"project": {"run": {"sweepName": name}} if name else None}
        found = next((one for one in self.sweeps.values() if one["name"] == variables["sweep"]), None)
        return {"project": {"sweep": found}}

    def sent(self, name):
        return [variables for request, variables in self.requests if request == name]


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(WandbSweep, "_execute", lambda self, query, **variables: recorder.answer(query, **variables))
    return recorder


def sweep_in(tmp_path, **changes):
    folder = RunFolder(tmp_path)
    folder.mirror("x").parent.mkdir(exist_ok=True)
    about = {"server": "http://a", "entity": None, "project": "p", "config": sweep_config(SWEEP, SEARCH)}
    return WandbSweep(folder=folder, witness="run0", **{**about, **changes})


class TestJoining:
    def test_it_is_made_once(self, tmp_path, recorder):
        sweep = sweep_in(tmp_path)
        assert [sweep.join(), sweep.join()] == ["ab12cd34"] * 2
        assert sweep_in(tmp_path).join() == "ab12cd34", "another process"
        assert [name for name, _ in recorder.requests] == ["SweepOfRun", "UpsertSweep", "GetSweep"]
        upsert = recorder.requests[1][1]
        assert (upsert["id"], upsert["state"], upsert["displayName"]) == (None, "RUNNING", SWEEP)
        assert json.loads(upsert["config"]) == sweep_config(SWEEP, SEARCH)

    def test_it_is_found_again_without_its_file(self, tmp_path, recorder):
        sweep_in(tmp_path).join()
        RunFolder(tmp_path).mirror("wandb-sweep.json").unlink()
        recorder.joined["run0"] = "ab12cd34"
        assert sweep_in(tmp_path).join() == "ab12cd34"
        assert len(recorder.sent("UpsertSweep")) == 1

    def test_one_that_was_deleted_at_the_server_is_made_again(self, tmp_path, recorder):
        """The server may refuse runs that join a sweep it does not have."""
        sweep_in(tmp_path).join()
        recorder.sweeps.clear()
        assert sweep_in(tmp_path).join() == "ab12cd34"
        assert len(recorder.sent("UpsertSweep")) == 2

    def test_a_state_that_a_user_set_at_the_server_is_seen(self, tmp_path, recorder):
        sweep_in(tmp_path).join()
        recorder.sweeps["U3dl"]["state"] = "pending"
        sweep_in(tmp_path).enter("RUNNING")
        assert recorder.sweeps["U3dl"]["state"] == "RUNNING"

    @pytest.mark.parametrize("changes", [{"server": "http://b"}, {"project": "q"}])
    def test_that_of_another_place_is_not_taken(self, tmp_path, recorder, changes):
        sweep_in(tmp_path).join()
        sweep_in(tmp_path, **changes).join()
        assert len(recorder.sent("UpsertSweep")) == 2

    @pytest.mark.parametrize(
        "text", ["{half", "{}", '{"server": "http://a", "project": "p", "id": "x", "name": "../"}']
    )
    def test_a_damaged_file_is_none(self, tmp_path, text):
        folder = RunFolder(tmp_path)
        folder.mirror("x").parent.mkdir(exist_ok=True)
        folder.mirror("wandb-sweep.json").write_text(text)
        assert JoinedSweep.load(folder) is None

    def test_its_state_follows_and_is_sent_only_when_it_changes(self, tmp_path, recorder):
        sweep = sweep_in(tmp_path)
        sweep.enter("RUNNING")
        sweep.enter("FINISHED")
        sweep.enter("FINISHED")
        again = sweep_in(tmp_path)
        again.enter("FINISHED")
        again.enter("RUNNING")
        assert [(one["id"], one["state"]) for one in recorder.sent("UpsertSweep")] == [
            (None, "RUNNING"),
            ("U3dl", "FINISHED"),
            ("U3dl", "RUNNING"),
        ]

    def test_a_search_without_parameters_asks_nothing(self, tmp_path, recorder):
        sweep = sweep_in(tmp_path, config=None)
        sweep.enter("RUNNING")
        assert (sweep.join(), sweep.note, recorder.requests) == (None, None, [])


class Answer:
    def __init__(self, http_status):
        self.http_status = http_status


class TestRefusals:
    def refused_by(self, tmp_path, monkeypatch, status):
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        def execute(self, query, **variables):
            raise WandbApiFailedError("no", Answer(status) if status is not None else None)

        monkeypatch.setattr(WandbSweep, "_execute", execute)
        about = {"server": "http://a", "entity": None, "project": "p", "config": sweep_config(SWEEP, SEARCH)}
        return WandbSweep(folder=RunFolder(tmp_path), witness="run0", **about), WandbApiFailedError

    @pytest.mark.parametrize("status", [400, 404, 422, 500, 501])
    def test_a_server_without_sweeps_costs_one_line(self, tmp_path, monkeypatch, status):
        sweep, _ = self.refused_by(tmp_path, monkeypatch, status)
        assert sweep.join() is None
        assert sweep.note == "this server has no sweeps, so trials are grouped instead"
        sweep.enter("FINISHED")
        assert not RunFolder(tmp_path).mirror("wandb-sweep.json").exists()

    @pytest.mark.parametrize("status", [None, 0, 401, 403, 429])
    def test_a_server_that_does_not_answer_is_asked_again_later(self, tmp_path, monkeypatch, status):
        sweep, failure = self.refused_by(tmp_path, monkeypatch, status)
        with pytest.raises(failure):
            sweep.join()
        assert sweep.note is None
