"""`headrace run`: run a project, as `mlflow run` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from headrace.sdk import fluent
from headrace.sdk.cli.output import Failed, say
from headrace.sdk.cli.target import Target, pass_target

MANAGERS = ("uv", "virtualenv", "local", "conda")


@click.command()
@click.argument("uri")
@click.option("-e", "--entry-point", default="main", show_default=True, help="Which entry point, or script, to run.")
@click.option("-v", "--version", help="A branch, tag or commit of a Git repository.")
@click.option("-P", "--param-list", "given", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("-A", "--docker-args", multiple=True, metavar="NAME=VALUE", help="An argument of docker run.")
@click.option("--experiment-name", help="The experiment of the run, by name; made if there is none.")
@click.option("--experiment-id", help="The experiment of the run, by id.")
@click.option("--run-name", help="The run's name.")
@click.option("--run-id", help="A run that exists already, to run it as.")
@click.option("-b", "--backend", default="local", show_default=True, help="Where it runs; only local.")
@click.option("-c", "--backend-config", help="A JSON file or JSON text with settings of the backend; local has none.")
@click.option("--env-manager", type=click.Choice(MANAGERS), help="What makes its environment; local: this one is used.")
@click.option("--no-conda", is_flag=True, help="The same as --env-manager local.")
@click.option("--storage-dir", type=click.Path(file_okay=False, path_type=Path), help="Where remote paths are put.")
@pass_target
@click.pass_context
def run(context: click.Context, target: Target, /, uri: str, given: tuple[str, ...], **options: Any) -> None:
    """Run a project: a folder, a Git repository (URI#subfolder), or an archive.

    What its MLproject file declares is checked before anything starts; its run exists before its command does.
    """
    from headrace.sdk.projects.errors import BadProject, ProjectFailed
    from headrace.sdk.projects.running import run as start

    if options.pop("no_conda"):
        if options["env_manager"] not in (None, "local"):
            raise Failed("--no-conda is --env-manager local; give one of them")
        options["env_manager"] = "local"
    _check_config(options.pop("backend_config"))
    options["docker_args"] = _pairs("-A", options["docker_args"])
    fluent.init(target.uri())
    try:
        submitted = start(uri, parameters=_pairs("-P", given), synchronous=False, **options)
        say(f"headrace: run {submitted.run_id} of experiment {submitted.experiment_id}")
        submitted.wait()
    except BadProject as error:
        raise Failed(str(error)) from error
    except ProjectFailed as error:
        raise Failed(str(error)) from error
    except KeyboardInterrupt:
        say("headrace: stopped")
        context.exit(130)
    if submitted.get_status() != "FINISHED":
        say(f"headrace: the run {submitted.run_id} failed: {submitted.failure}")
        context.exit(submitted.exit_code or 1)


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise Failed(f"{option} takes NAME=VALUE, not {one!r}")
        if name in found:
            raise Failed(f"{option} names {name} twice")
        found[name] = value
    return found


def _check_config(given: str | None) -> None:
    """It must be JSON, as with MLflow. Raises Failed."""
    if given is None:
        return
    try:
        text = Path(given).read_text(encoding="utf-8") if given.endswith(".json") else given
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise Failed(f"--backend-config is neither a JSON file nor JSON text: {error}") from error
    if not isinstance(found, dict):
        raise Failed("--backend-config is no JSON object")
