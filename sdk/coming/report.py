"""What an import did and how it was proved: per run, in total, and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from headrace.sdk.coming.source import Left

DIFFERENCES_SHOWN_MAX = 20


@dataclass(slots=True)
class RunReport:
    """One run, logged model or registered model (run_id: its id or name).

    outcome: `imported`, `there already`, `completed` (it was there in part), `failed`. versions: of a registered model.
    points_sha256: over the sorted lines `key, points, checksum` of its metrics. differences: what differs between
    source and target, read back after all was sent; empty when they are equal.
    """

    run_id: str
    experiment: str
    outcome: str = "imported"
    params: int = 0
    tags: int = 0
    metrics: int = 0
    points: int = 0
    versions: int = 0
    points_sha256: str = ""
    files: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """A whole import."""

    source: str
    system: str
    target: str
    experiments: dict[str, str] = field(default_factory=dict)
    runs: list[RunReport] = field(default_factory=list)
    models: list[RunReport] = field(default_factory=list)
    registered: list[RunReport] = field(default_factory=list)
    skipped_deleted: int = 0
    left: list[Left] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether nothing differs and nothing failed."""
        return not self.faults and not any(one.differences for one in (*self.runs, *self.models, *self.registered))

    def totals(self) -> dict[str, int]:
        """Counts over all runs."""
        counted = {"runs": len(self.runs), "models": len(self.models), "registered_models": len(self.registered)}
        counted["model_versions"] = sum(one.versions for one in self.registered)
        for outcome in ("imported", "there already", "completed", "failed"):
            counted[outcome.replace(" ", "_")] = sum(one.outcome == outcome for one in self.runs)
        for name in ("params", "tags", "metrics", "points"):
            counted[name] = sum(getattr(one, name) for one in self.runs)
        counted["files"] = sum(len(one.files) for one in (*self.runs, *self.models))
        return counted

    def differences(self) -> list[str]:
        """Every difference and fault, a line each."""
        found = [f"run {one.run_id}: {line}" for one in self.runs for line in one.differences]
        found += [f"model {x.run_id}: {line}" for x in self.models for line in x.differences]
        found += [f"registered model {x.run_id}: {line}" for x in self.registered for line in x.differences]
        return found + self.faults

    def told(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {
            "source": self.source,
            "system": self.system,
            "target": self.target,
            "equal": self.equal,
            "totals": self.totals(),
            "skipped_deleted": self.skipped_deleted,
            "experiments": self.experiments,
            "runs": [asdict(one) for one in self.runs],
            "models": [asdict(one) for one in self.models],
            "registered_models": [asdict(one) for one in self.registered],
            "left": [one._asdict() for one in self.left],
            "faults": self.faults,
        }
