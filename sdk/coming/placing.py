"""The experiment here that takes the runs of one there: found by its name, else made."""

from __future__ import annotations

from headrace.ingest import events
from headrace.sdk.coming import writing
from headrace.sdk.coming.arrival import Arrival, NotTaken
from headrace.sdk.coming.checksums import digest_of
from headrace.sdk.coming.options import ORIGIN
from headrace.sdk.coming.source import Left, SourceExperiment, derived_id


def place(arrival: Arrival, experiment: SourceExperiment, name: str, system: str, left: list[Left]) -> tuple[str, str]:
    """The experiment's id and artifact root here (empty for the usual one); it is made if there is none.

    system: the source's. left: gets the tags that are not carried over. Raises NotTaken.
    """
    held = arrival.experiment(name)
    if held is not None and held.lifecycle_stage == "deleted" and not experiment.deleted:
        raise NotTaken(
            f"the experiment {name!r} is in the bin there: take it out (`headrace experiments restore`), or give"
            " its runs another one with --experiment OLD=NEW"
        )
    tags = dict(experiment.tags)
    pen = writing.Pen(derived_id(ORIGIN, system, name, digest_of([tags, experiment.deleted])), ORIGIN)
    time_ms = experiment.creation_time_ms
    if held is None:
        experiment_id = arrival.free_experiment_id(name)
        frames = [pen.event(experiment_id, events.ExperimentCreated(name, "", tags, True), time_ms)]
        if experiment.deleted:
            frames.append(pen.event(experiment_id, events.ExperimentDeleted(), time_ms))
        arrival.send(frames)
        return experiment_id, ""
    absent = {key: value for key, value in tags.items() if key not in held.tags}
    for key in sorted(tags.keys() & held.tags.keys()):
        if tags[key] != held.tags[key]:
            why = f"the experiment {name!r} is here already, and has another value"
            left.append(Left("", f"tag {key} of the experiment {experiment.name}", why))
    if absent:
        arrival.send([pen.event(held.experiment_id, events.ExperimentTagsSet(absent), time_ms)])
    return held.experiment_id, held.artifact_location
