"""The saved view of a W&B project: what is on it, and that it is made once."""

import json
from types import SimpleNamespace

import pytest
from tests.unit.tracking.test_wandb_sweep import SEARCH

from yolosweep.tracking.wandb_views import NAME, is_available, make_view, workspace_of

pytestmark = [
    pytest.mark.skipif(not is_available(), reason="wandb-workspaces, of the extra wandb-views, is missing"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of its models
]

MEDIA = ("val/confusion_matrix", "worst/val-01")


class Recorder:
    """A server that keeps the views of a project."""

    app_url = "http://a/"

    def __init__(self, *names, answers=True):
        self.names, self.saved, self.answers = list(names), [], answers

    def execute_graphql(self, query, variables, **options):
        if "upsertView" not in query:
            views = {"edges": [{"node": {"displayName": name}} for name in self.names]}
            return {"project": {"allViews": views}} if self.answers else {"project": None}
        self.saved.append(variables)
        self.names.append(variables["displayName"])
        return {"upsertView": {"view": {"id": "1", "name": variables["name"]}}}


def made(recorder, monkeypatch):
    api = SimpleNamespace(_service_api=recorder)
    monkeypatch.setattr("wandb.Api", lambda *args, **options: api)
    return make_view(api, "team", "parking", SEARCH, MEDIA)


def test_it_is_saved_once(monkeypatch):
    recorder = Recorder("somebody's view")
    assert [made(recorder, monkeypatch), made(recorder, monkeypatch)] == [True, False]
    (saved,) = recorder.saved
    assert (saved["entityName"], saved["projectName"], saved["displayName"]) == ("team", "parking", NAME)
    assert json.loads(saved["spec"])["section"]["panelBankConfig"]["sections"]


def test_one_that_is_there_is_never_overwritten(monkeypatch):
    recorder = Recorder(NAME)
    assert not made(recorder, monkeypatch)
    assert recorder.saved == []


def test_a_server_that_knows_no_views_gets_none(monkeypatch):
    recorder = Recorder(answers=False)
    assert not made(recorder, monkeypatch)
    assert recorder.saved == []


def test_it_shows_the_search_the_winner_the_trainings_and_their_cost():
    model = workspace_of("team", "parking", SEARCH, MEDIA)._to_model()
    spec = json.loads(model.spec.model_dump_json(by_alias=True, exclude_none=True))
    sections = {one["name"]: one["panels"] for one in spec["section"]["panelBankConfig"]["sections"]}
    assert list(sections) == ["Search", "Winner", "Trainings", "Cost"]
    kinds = [panel["viewType"] for panel in sections["Search"]]
    searched = [name for name, one in SEARCH["parameters"].items() if "value" not in one]
    assert kinds == [
        "Run History Line Plot",
        "Parallel Coordinates Plot",
        "Parameter Importance",
        *["Scatter Plot"] * len(searched),
    ]
    axes = sections["Search"][1]["config"]["columns"]
    assert [one["accessor"] for one in axes] == [*(f"config:{name}.value" for name in searched), "summary:best_score"]
    assert axes[0]["log"] is True
    grouped = [panel["config"] for panel in sections["Trainings"] if panel["config"].get("groupBy")]
    assert [(one["groupBy"], one["groupAgg"], one["metrics"]) for one in grouped] == [
        ("ending.value", "samples", ["score"])
    ]
    shown = [key for panel in sections["Winner"] for key in panel["config"].get("mediaKeys", [])]
    assert shown == list(MEDIA)
