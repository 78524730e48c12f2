"""Releases are compared, not builds: torch is built anew for every kind of hardware."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yolosweep.cluster.node_checks import Expected, node_problems
from yolosweep.cluster.node_probe import NodeFacts
from yolosweep.workflows.job_preparation import other_versions
from yolosweep.workflows.resume_checks import changed_versions

numbers = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
publics = st.builds(lambda number, end: number + end, numbers, st.sampled_from(["", "rc1", ".post2", ".dev20261101"]))
builds = st.one_of(st.just(""), st.from_regex(r"\+[a-z0-9]{1,8}(\.[a-z0-9]{1,8})?", fullmatch=True))
PACKAGES = ("torch", "torchvision", "numpy")


def said(driver: dict[str, str], node: dict[str, str]) -> tuple[list[str], list[str], list[str]]:
    """Return what the look at a node, a job and a resume have against a pair of environments."""
    facts = NodeFacts(host="n", versions=node)
    found = node_problems(facts, Expected(versions=driver, sent_s=0.0, answered_s=0.0))
    looked = [problem.text for problem in found if problem.check == "versions"]
    return looked, other_versions(driver, node), changed_versions(driver, node)[0]


@given(st.sampled_from(PACKAGES), publics, publics, builds, builds)
def test_only_another_release_is_refused_and_everywhere_alike(
    package: str, one: str, other: str, build: str, rebuilt: str
) -> None:
    same = said({package: one + build}, {package: one + rebuilt})
    assert same == ([], [], [])
    for lines in said({package: one + build}, {package: other + rebuilt}):
        assert len(lines) == (one != other)


@given(publics, builds, builds)
def test_a_resume_notes_another_build_once(version: str, build: str, rebuilt: str) -> None:
    _, notes = changed_versions({"torch": version + build, "gone": "1+x"}, {"torch": version + rebuilt, "new": "2+y"})
    told = f"torch was {version + build} and is {version + rebuilt}: another build of the same release"
    assert notes == ([told] if build != rebuilt else [])
