"""The W&B report of a sweep: what it says, and what it refuses."""

import json
from types import SimpleNamespace

import pytest
from tests.unit.tracking.test_mirror import END, events_of
from tests.unit.tracking.test_winner_values import entries, picture, validated_winner

from yolosweep.errors import UsageError
from yolosweep.ledger import Ledger, RunFolder
from yolosweep.ledger.history import History
from yolosweep.tracking import wandb_report
from yolosweep.tracking.mirror_state import MirrorState
from yolosweep.tracking.wandb_report import report_of, save_report
from yolosweep.tracking.wandb_views import is_available

needs_library = pytest.mark.skipif(not is_available(), reason="wandb-workspaces, of the extra wandb-views, is missing")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library's models

PICTURES = [picture("winner/plots/val/confusion_matrix.png"), picture("winner/worst/01-val-a.jpg")]


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://a")
    monkeypatch.setenv("WANDB_API_KEY", "c4n4ry")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb_report, "is_available", lambda: True)


def folder_with(tmp_path, *last, url="http://a/team/parking"):
    folder = RunFolder.create(tmp_path / "runs", "cars")
    ledger = Ledger(folder)
    for event in events_of(entries(*last)):
        ledger.append(event)
    ledger.close()
    folder.mirror("x").parent.mkdir()
    MirrorState(server="http://a", url=url).save(folder, "wandb")
    return folder


def history_of(*last):
    history = History()
    history.extend(events_of(entries(*last)))
    return history


@needs_library
@pytest.mark.slow
def test_it_holds_the_verdict_the_scores_and_the_panels_of_the_sweep():
    history = history_of(validated_winner(pictures=PICTURES), END)
    model = report_of(history, "team", "parking")._to_model()
    spec = model.spec.model_dump_json(by_alias=True, exclude_none=True)
    assert model.display_name == history.sweep
    for text in ("t0001 is better than", "mAP50-95(B)", "| car |", "winner t0001", "trial 0"):
        assert text in spec, text
    for panel in ("Parallel Coordinates Plot", "Parameter Importance", "val/confusion_matrix", "worst/val-01"):
        assert panel in spec, panel
    assert f'"query":"{history.sweep}"' in spec, "of this sweep's runs alone"


@needs_library
def test_names_of_the_data_are_no_markup():
    event = validated_winner()
    scored = event[1]["validations"]["val"]["per_class"]
    scored["<b>|`x`"] = scored.pop("car")
    spec = report_of(history_of(event, END), "team", "parking")._to_model().spec
    texts = [block.content for block in spec.blocks if hasattr(block, "content")]
    assert any(r"\<b\>\|\`x\`" in text for text in texts)


@needs_library
@pytest.mark.slow
def test_it_is_saved_where_the_sweep_is(tmp_path, monkeypatch, environment):
    saved = []

    def execute(query, variables, **options):
        saved.append(variables)
        view = {"id": "Vmlldzox", "displayName": variables["displayName"], "spec": variables["spec"]}
        view |= {"project": {"name": "parking", "entityName": "team"}}
        return {"upsertView": {"view": {"name": "n", "type": "runs", "description": "", "user": None, **view}}}

    service = SimpleNamespace(execute_graphql=execute, app_url="http://a/")
    api = SimpleNamespace(_service_api=service, projects=lambda entity: [SimpleNamespace(name="parking")])
    monkeypatch.setattr("wandb.Api", lambda: api)
    folder = folder_with(tmp_path, validated_winner(), END)
    assert save_report(folder).startswith("http://a/team/parking/reports/")
    (sent,) = saved
    assert (sent["entityName"], sent["projectName"], sent["type"]) == ("team", "parking", "runs")
    assert json.loads(sent["spec"])["blocks"]


def test_a_sweep_that_was_not_sent_has_none(tmp_path, environment):
    with pytest.raises(UsageError, match=r"is not at W&B; `yolosweep track push .*` sends it"):
        save_report(folder_with(tmp_path, validated_winner(), END, url=None))


def test_a_sweep_without_a_winner_has_none(tmp_path, environment):
    with pytest.raises(UsageError, match=r"has no winner; `yolosweep best"):
        save_report(folder_with(tmp_path, END))


def test_without_the_library_it_names_the_extra(tmp_path, monkeypatch, environment):
    monkeypatch.setattr(wandb_report, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"pip install 'yolosweep\[wandb-views\]'"):
        save_report(folder_with(tmp_path, END))
