"""The saved view of a W&B project: panels of the search, of trainings, of winners and of their cost.

It needs ``wandb-workspaces`` (the extra ``wandb-views``) and is made once per project, by its name: one that is there,
changed by its users or not, stays as it is. It is a convenience, so whatever goes wrong costs nothing but a line in the
mirror's log.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from yolosweep.experiment.search_parameter import Parameter, parameters_of

__all__ = ["NAME", "is_available", "make_view", "panels_of", "workspace_of"]

NAME = "yolosweep"
"""Of the view."""

_SCATTERED = 12
"""Parameters that have a scatter plot of their own."""
_VIEWS = """
query ProjectViews($entityName: String, $projectName: String) {
    project(name: $projectName, entityName: $entityName) {
        allViews(viewType: "project-view") { edges { node { displayName } } }
    }
}"""


def is_available() -> bool:
    """Return whether the library is installed."""
    return importlib.util.find_spec("wandb_workspaces") is not None


def make_view(api: Any, entity: str, project: str, search: Mapping[str, Any], media: Sequence[str]) -> bool:
    """Save the view, unless the project has one; return whether it was saved.

    Args:
        api: the SDK's public API.
        entity: user or team.
        project: W&B project.
        search: the experiment's ``search``.
        media: names of the winner's pictures.

    Raises:
        Exception: it cannot be saved.
    """
    answer = api._service_api.execute_graphql(_VIEWS, {"entityName": entity, "projectName": project})
    views = ((answer.get("project") or {}).get("allViews") or {}).get("edges")
    if views is None or any(one["node"]["displayName"] == NAME for one in views):
        return False
    workspace_of(entity, project, search, media).save()
    return True


def workspace_of(entity: str, project: str, search: Mapping[str, Any], media: Sequence[str]) -> Any:
    """Return the view as ``wandb_workspaces`` models it."""
    import wandb_workspaces.workspaces as ws

    panels = panels_of(search, media)
    return ws.Workspace(
        name=NAME,
        entity=entity,
        project=project,
        sections=[ws.Section(name=name, panels=some, is_open=True) for name, some in panels.items()],
    )


def panels_of(search: Mapping[str, Any], media: Sequence[str]) -> dict[str, list[Any]]:
    """Return the panels of a view or a report, by section."""
    parameters = parameters_of({"search": {"parameters": None, **search}})
    return {
        "Search": _of_the_search({name: one for name, one in parameters.items() if one.kind != "constant"}),
        "Winner": _of_the_winner(media),
        "Trainings": _of_trainings(str(search.get("metric") or "score")),
        "Cost": _over_epochs("seconds", "images_per_s", "memory_mb", "gpu_memory_mb"),
    }


def _of_the_search(parameters: Mapping[str, Parameter]) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    score = wr.SummaryMetric("best_score")
    column = wr.ParallelCoordinatesPlotColumn
    axes = [column(metric=wr.Config(name), log=one.is_log or None) for name, one in parameters.items()]
    return [
        wr.LinePlot(title="Best score so far", x="trials_ended", y=["best_score"]),
        wr.ParallelCoordinatesPlot(columns=[*axes, column(metric=score)]),
        wr.ParameterImportancePlot(with_respect_to="best_score"),
        *(
            wr.ScatterPlot(x=wr.Config(name), y=score, log_x=one.is_log or None)
            for name, one in list(parameters.items())[:_SCATTERED]
        ),
    ]


def _of_the_winner(media: Sequence[str]) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    tables = [wr.WeavePanelSummaryTable(table_name=name) for name in ("classes", "trials")]
    return [*tables, *(wr.MediaBrowser(title=name, media_keys=[name]) for name in media)]


def _of_trainings(metric: str) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    losses = [
        wr.LinePlot(title=f"{split} losses", x="epoch", metric_regex=f"^{split}/.*loss$") for split in ("train", "val")
    ]
    return [
        wr.LinePlot(title=metric, x="epoch", y=["score"]),
        wr.LinePlot(
            title=f"{metric} by ending",
            x="epoch",
            y=["score"],
            groupby=wr.Config("ending"),
            groupby_aggfunc="samples",
            groupby_rangefunc="none",
        ),
        wr.LinePlot(title="best so far", x="epoch", y=["best_score"]),
        *losses,
        wr.LinePlot(title="learning rates", x="epoch", metric_regex="^lr/"),
    ]


def _over_epochs(*names: str) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [wr.LinePlot(title=name, x="epoch", y=[name]) for name in names]
