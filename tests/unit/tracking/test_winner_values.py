"""What a tracker gets of the winner: its own values and trial 0's, the verdict, the table of classes, its pictures."""

import re

import pytest
from tests.unit.tracking.test_mirror import (
    END,
    SWEEP,
    events_of,
    of_type,
    plan,
    resumed,
    row,
    run_id,
    started,
    sweep_resumed,
    trial_ended,
    trial_started,
    winner,
)

from yolosweep.records import FileRef
from yolosweep.tracking.sink import Artifact, Close, Row, Summary, Table
from yolosweep.tracking.winner_pictures import picture_key

METRIC = "metrics/mAP50-95(B)"


def validations(score, *splits):
    return {
        split: {
            "split": split,
            "metrics": {METRIC: score, "metrics/precision(B)": 0.75, "val/box_loss": 1.5},
            "per_class": {"car": {METRIC: score + 0.1}, "bus": {METRIC: score - 0.1}},
        }
        for split in splits
    }


def picture(path):
    return {"path": path, "sha256": "0" * 64, "size": 3}


def validated_winner(number=1, **more):
    name, payload = winner(number)
    reference = {"trial": "t0000", "validations": validations(0.5, "val", "test")}
    errors = {split: {"images": 50, "resamples": 200, "error": 0.02} for split in ("val", "test")}
    scored = {"score": 0.7, "metric": METRIC, "validations": validations(0.7, "val", "test")}
    payload |= {**scored, "reference": {**reference, "errors": errors}, "settings": {"lr0": 0.02, "seed": 0}, **more}
    return (name, payload)


def entries(*last):
    first = started()
    first[1]["experiment"]["search"]["metric"] = METRIC
    return [
        first,
        *map(trial_started, range(3)),
        row(0, 5),
        trial_ended(0, score=0.5),
        row(1, 7),
        trial_ended(1, score=0.7),
        trial_ended(2, "failed", score=None),
        *last,
    ]


def messages(*last):
    return [message for message in plan(events_of(entries(*last))) if message.run == run_id(SWEEP, "sweep")]


class TestSummary:
    def test_it_holds_the_winners_scores_beside_trial_0s(self):
        values = of_type(Summary, messages(validated_winner()))[-1].values
        assert (values["winner"], values["winner_score"], values["winner/lr0"]) == ("t0001", 0.7, 0.02)
        for split in ("val", "test"):
            assert (values[f"winner/{split}/mAP50-95(B)"], values[f"trial0/{split}/mAP50-95(B)"]) == (0.7, 0.5)
            assert values[f"{split}/low"] < values[f"{split}/difference"] < values[f"{split}/high"]
        assert values["winner/val/precision(B)"] == 0.75
        assert not any("loss" in name for name in values), "they are called val/… on test, too"
        assert values["verdict"] == "better"
        assert "t0001 is better than" in values["verdict_text"]
        assert values["verdict_details"]

    def test_a_score_has_its_interval_where_its_noise_is_known(self):
        scored = validations(0.7, "val", "test")
        scored["val"]["errors"] = {METRIC: 0.05}
        sent = of_type(Summary, messages(validated_winner(validations=scored)))[-1].values
        low, high = (sent[f"winner/val/mAP50-95(B)_{end}"] for end in ("low", "high"))
        assert low < 0.7 - 1.9 * 0.05
        assert 0.7 < high <= 1.0
        assert not any(name.startswith("winner/test/") and name.endswith(("_low", "_high")) for name in sent)
        numbers = [name for name, value in sent.items() if isinstance(value, (int, float))]
        below = [(one, other) for one in numbers for other in numbers if other.startswith(f"{one}/")]
        assert below == [], "MLflow keeps metrics as files, and no file can hold others"

    def test_the_end_sends_it_again_and_nothing_of_other_trials(self):
        sent = messages(validated_winner(), END)
        close = of_type(Close, sent)[-1].summary
        of_others = {"score", "best_score", "best_trial", "gain_over_defaults", "best/lr0"}
        assert not of_others & set(close)
        assert (close["winner"], close["trials_ended"], close["status"]) == ("t0001", 3, "finished")
        assert {"score", "best_score"} <= set(of_type(Row, sent)[1].values), "the history has them"

    def test_a_sweep_without_a_winner_shows_its_best_trial(self):
        close = of_type(Close, messages(END))[-1].summary
        assert (close["best_trial"], close["best_score"], close["best/lr0"]) == ("t0001", 0.7, 0.01)

    def test_a_later_winner_removes_what_it_does_not_have(self):
        plain = ("winner", {**validated_winner()[1], "validations": validations(0.7, "val"), "reference": None})
        values = of_type(Summary, messages(validated_winner(), END, sweep_resumed(), plain))[-1].values
        assert values["winner/val/mAP50-95(B)"] == 0.7
        gone = {"winner/test/mAP50-95(B)", "trial0/val/mAP50-95(B)", "trial0/test/mAP50-95(B)", "test/low"}
        assert {name for name in gone if name in values and values[name] is None} == gone

    def test_where_trial_0_wins_the_other_trial_is_not_called_trial_0(self):
        other = {"trial": "t0001", "validations": validations(0.4, "val")}
        values = of_type(Summary, messages(validated_winner(0, reference=other)))[-1].values
        assert values["winner/val/mAP50-95(B)"] == 0.7
        assert not any(name.startswith("trial0/") for name in values)


class TestClasses:
    def test_they_are_a_table_of_the_winner_and_trial_0(self):
        (table,) = [one for one in of_type(Table, messages(validated_winner())) if one.name == "classes"]
        of = [f"{who}/{split}/mAP50-95(B)" for who in ("winner", "trial0") for split in ("val", "test")]
        assert table.columns == ("class", *of)
        rows = {row[0]: row[1:] for row in table.rows}
        assert rows["car"] == pytest.approx((0.8, 0.8, 0.6, 0.6))
        assert rows["bus"] == pytest.approx((0.6, 0.6, 0.4, 0.4))

    def test_a_winner_without_classes_has_no_table(self):
        assert [one.name for one in of_type(Table, messages(winner(0), END))] == ["trials"]


def test_the_page_lists_everything_that_is_sent(repository):
    """The one table of what is sent, in the documentation."""
    text = (repository / "platform" / "docs" / "tracking.md").read_text()
    ran = {"device": "A100", "host": "n7", "threads": 4, "cause": "stalled", "error": "x", "memory_mb": 9.0}
    ran |= {"epoch_seconds": 1.5, "images_per_s": 80.0, "gpu_memory_mb": 7.0, "notes": ["lowered"], "best_epoch": 1}
    files = {"best.pt": {"path": "trials/t0002/best.pt", "sha256": "1" * 64, "size": 4}}
    more = [trial_ended(2, "failed", files=files, **ran), validated_winner(caveats=["leaks"]), END, sweep_resumed()]
    sent = set()
    for message in plan(events_of([*entries(resumed(2, 1, 0)), *more])):
        for part in ("config", "values", "summary", "metadata"):
            sent |= getattr(message, part, {}).keys()
    names = {
        re.sub(r"^(winner|trial0)/(val|test)/.*", r"\1/SPLIT/METRIC", name)
        for name in sent - {"lr0", "epochs", "batch", "train/box_loss"}
    }
    names = {re.sub(r"^(val|test)/", "SPLIT/", re.sub(r"/lr0$", "/PARAMETER", name)) for name in names}
    assert {name for name in names if f"`{name}`" not in text} == set()


class TestModel:
    def test_it_names_its_data_and_brings_its_pictures(self):
        paths = [
            "winner/errors.html",
            "winner/plots/val/confusion_matrix.png",
            "winner/plots/t0000-val/confusion_matrix.png",
            "winner/worst/01-val-a.jpg",
        ]
        (artifact,) = of_type(Artifact, messages(validated_winner(pictures=list(map(picture, paths)))))
        assert artifact.metadata["dataset_fingerprint"] == "f00d"
        assert artifact.dataset["fingerprint"] == "f00d"
        assert not {"source", "train_on"} & artifact.dataset.keys(), "no path of this machine"
        assert artifact.metadata["winner/test/mAP50-95(B)"] == 0.7
        assert not any("So far" in str(value) for value in artifact.metadata.values())
        assert [one.path for one in artifact.pictures] == [paths[1], paths[3]]

    @pytest.mark.parametrize(
        ("path", "key"),
        [
            ("winner/plots/val/confusion_matrix.png", "val/confusion_matrix"),
            ("winner/plots/test/BoxPR_curve.png", "test/BoxPR_curve"),
            ("winner/worst/03-val-street.jpg", "worst/val-03"),
            ("winner/worst/20-test-x.jpg", "worst/test-20"),
            ("winner/worst/21-test-x.jpg", None),
            ("winner/worst/street.jpg", None),
            ("winner/plots/val/page.html", None),
        ],
    )
    def test_every_picture_has_a_name_of_its_own(self, path, key):
        assert picture_key(FileRef(path=path, sha256="0" * 64, size=3)) == key
