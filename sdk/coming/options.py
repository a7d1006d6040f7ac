"""What of a source is imported, under which names, and how far that has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.sdk.coming.source import SourceExperiment

ORIGIN = "import"
"""The source of all events that imports make."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is imported, and where to.

    experiments: only these, and the name each gets here; none for all. into: one experiment for all runs. prefix: of
    the names of experiments here. deleted: deleted experiments and runs too. files: artifacts too. registry: registered
    models too.
    """

    experiments: dict[str, str] = field(default_factory=dict)
    into: str = ""
    prefix: str = ""
    deleted: bool = False
    files: bool = True
    registry: bool = True

    def name_of(self, experiment: SourceExperiment) -> str | None:
        """The name an experiment gets here, None when it is not asked for."""
        if self.experiments and experiment.name not in self.experiments:
            return None
        if experiment.deleted and not self.deleted:
            return None
        return self.into or self.prefix + self.experiments.get(experiment.name, experiment.name)


@dataclass(slots=True)
class Progress:
    """How far an import is; told after each run and while points are sent."""

    runs_total: int = 0
    runs: int = 0
    points: int = 0
    files: int = 0
    bytes: int = 0
