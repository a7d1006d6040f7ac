"""Files of the stock MLflow client, small, odd and large; both ways. Runs in MLflow's environment. argv: MiB of a file.

The large file goes up in parts and comes back in ranges where the environment says so. Prints the run's artifact URI.
"""

import hashlib
import os
import pathlib
import sys

import mlflow
from mlflow import MlflowClient

client = MlflowClient()
mlflow.set_experiment("files")
here = pathlib.Path.cwd()


def digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listed(path: str | None = None) -> list[tuple[str, bool, int | None]]:
    return [(one.path, one.is_dir, one.file_size) for one in client.list_artifacts(run.info.run_id, path)]


folder = here / "folder"
for name in ("a.txt", "ünï ☃/b c.txt", "ünï ☃/deep/100%.json", "page.html", "empty"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("" if name == "empty" else f"this is {name}", "utf-8")
large = here / "large file ü.bin"
with large.open("wb") as file:
    for _ in range(int(sys.argv[1])):
        file.write(os.urandom(1024 * 1024))
    file.write(b"tail")

with mlflow.start_run() as run:
    mlflow.log_artifacts(str(folder), "all")
    mlflow.log_artifact(str(large), "big")
    mlflow.log_text("first", "again.txt")
    mlflow.log_text("second", "again.txt")

assert listed() == [("again.txt", False, 6), ("all", True, None), ("big", True, None)], listed()
assert listed("all") == [
    ("all/a.txt", False, 13),
    ("all/empty", False, 0),
    ("all/page.html", False, 17),
    ("all/ünï ☃", True, None),
], listed("all")
assert listed("big") == [("big/large file ü.bin", False, large.stat().st_size)], listed("big")
assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/again.txt") == "second"

back = pathlib.Path(client.download_artifacts(run.info.run_id, "", str(here / "back")))
for path in folder.rglob("*"):
    if path.is_file():
        assert digest(back / "all" / path.relative_to(folder)) == digest(path), path
assert digest(back / "big" / large.name) == digest(large)

repository = mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(run.info.artifact_uri)
repository.delete_artifacts("all/ünï ☃")
assert [path for path, *_ in listed("all")] == ["all/a.txt", "all/empty", "all/page.html"]
print(run.info.artifact_uri)
