"""Suggestions: inside the space, repeatable, and learning from what was really used."""

import pytest

from yolosweep.experiment import Parameter
from yolosweep.search.searchers.searcher import searcher_for

SPACE = {
    "lr0": Parameter(min=1e-5, max=1e-1, distribution="log_uniform_values"),
    "mosaic": Parameter(min=0.0, max=1.0),
    "batch": Parameter(values=[4, 8, 16]),
    "freeze": Parameter(min=0, max=5),
    "scale": Parameter(values=[[0.5, 1.5], 0.5]),
    "box": Parameter(min=1.0, max=10.0, distribution="q_uniform", q=0.5),
    "degrees": Parameter(value=3.0),
}


def on_axis(parameter: Parameter, value: object) -> bool:
    points = parameter.grid()
    if points is not None:
        return value in points
    low, high = parameter.corners()
    return low <= value <= high


@pytest.mark.parametrize("searcher", ["tpe", "random"])
def test_every_suggestion_lies_in_the_space(searcher: str) -> None:
    suggester = searcher_for(searcher, SPACE, seed=0, mode="max")
    for number in range(25):
        found = suggester.suggest(number)
        assert found is not None
        assert all(on_axis(SPACE[name], value) for name, value in found.items()), found
        suggester.started(number, found)
        suggester.tell(number, found, found["mosaic"])


def test_same_seed_and_observations_give_the_same_answer() -> None:
    def walk(seed: int) -> list[object]:
        suggester = searcher_for("tpe", SPACE, seed=seed, mode="max")
        answers = []
        for number in range(15):
            answers.append(suggester.suggest(number))
            suggester.started(number, answers[-1])
            suggester.tell(number, answers[-1], answers[-1]["mosaic"])
        return answers

    assert walk(1) == walk(1)
    assert walk(1) != walk(2)


def test_another_attempt_gives_another_answer() -> None:
    suggester = searcher_for("random", SPACE, seed=0, mode="max")
    assert suggester.suggest(3) != suggester.suggest(3, attempt=1)


def test_the_batch_really_used_is_what_is_learned() -> None:
    """Asked for 16, trained with 4 (out of memory): the score belongs to 4."""
    space = {"batch": Parameter(values=[4, 8, 16]), "mosaic": Parameter(min=0.0, max=1.0)}
    lowered, asked, ignorant = (searcher_for("tpe", space, seed=0, mode="max") for _ in range(3))
    for number in range(20):
        wanted, used = {"batch": 16, "mosaic": number / 20}, {"batch": 4, "mosaic": number / 20, "optimizer": "AdamW"}
        for searcher, point, trained in ((lowered, wanted, used), (asked, used, used), (ignorant, wanted, wanted)):
            searcher.started(number, point)
            searcher.tell(number, trained, number / 20)
    found = [[searcher.suggest(number) for number in range(20, 40)] for searcher in (lowered, asked, ignorant)]
    assert found[0] == found[1] != found[2]


def test_a_trial_that_says_nothing_about_its_parameters_is_not_learned() -> None:
    space = {"mosaic": Parameter(min=0.0, max=1.0)}
    taught, untaught = (searcher_for("tpe", space, seed=0, mode="max") for _ in range(2))
    for number in range(20):
        for one, learned in ((taught, True), (untaught, False)):
            one.started(number, {"mosaic": number / 20})
            one.tell(number, {"mosaic": number / 20}, number / 20, learned=learned)
    fresh = searcher_for("tpe", space, seed=0, mode="max")
    assert untaught.suggest(20) == fresh.suggest(20) != taught.suggest(20)


def test_a_score_of_none_counts_as_worst() -> None:
    space = {"mosaic": Parameter(min=0.0, max=1.0)}
    suggester = searcher_for("tpe", space, seed=0, mode="max")
    late = []
    for number in range(60):
        found = suggester.suggest(number)
        suggester.started(number, found)
        suggester.tell(number, found, None if found["mosaic"] > 0.5 else 0.1)
        if number >= 40:
            late.append(found["mosaic"])
    assert sum(value <= 0.5 for value in late) >= 15


def test_asking_changes_nothing() -> None:
    asked, quiet = (searcher_for("tpe", SPACE, seed=0, mode="max") for _ in range(2))
    for number in range(14):
        for attempt in range(3):
            asked.suggest(number, attempt)
        found = asked.suggest(number, 3)
        assert found == quiet.suggest(number, 3)
        for suggester in (asked, quiet):
            suggester.started(number, found)
            suggester.tell(number, found, found["mosaic"])


def test_a_grid_gives_every_combination_once() -> None:
    space = {"batch": Parameter(values=[4, 8]), "freeze": Parameter(min=0, max=2)}
    suggester = searcher_for("grid", space, seed=0, mode="max")
    found = [suggester.suggest(number) for number in range(6)]
    assert len({tuple(sorted(point.items())) for point in found}) == 6
    assert suggester.suggest(6) is None
