"""The entry point `headrace`: its groups and what they share."""

from __future__ import annotations

from typing import Any

import click
from headrace.sdk.cli import compare, models_changes, models_requests
from headrace.sdk.cli.demo import demo
from headrace.sdk.cli.doctor import doctor
from headrace.sdk.cli.endpoints import endpoints
from headrace.sdk.cli.events import events
from headrace.sdk.cli.experiments import experiments
from headrace.sdk.cli.export_ import export_
from headrace.sdk.cli.gc import gc
from headrace.sdk.cli.history import history
from headrace.sdk.cli.import_ import import_
from headrace.sdk.cli.log import log
from headrace.sdk.cli.models import models
from headrace.sdk.cli.projects import projects
from headrace.sdk.cli.rebuild import rebuild
from headrace.sdk.cli.run import run
from headrace.sdk.cli.runs import runs
from headrace.sdk.cli.server import server
from headrace.sdk.cli.sql import sql
from headrace.sdk.cli.sync import sync
from headrace.sdk.cli.target import FLAG, Target, clear_errors
from headrace.sdk.cli.topics import topics
from headrace.sdk.cli.views import views
from headrace.sdk.cli.worker import worker
from headrace.sdk.version import VERSION


class Headrace(click.Group):
    """The top of the command tree: no failure of a command shows a stack trace."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command that was asked for."""
        with clear_errors(context.ensure_object(Target)):
            return super().invoke(context)


@click.group(cls=Headrace, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(FLAG, metavar="URI", help="The server (http://host:port) or data folder to talk to.")
@click.version_option(VERSION, message="headrace %(version)s")
@click.pass_context
def main(context: click.Context, tracking_uri: str | None) -> None:
    """Headrace: event-sourced tracking for machine learning."""
    context.ensure_object(Target).given = tracking_uri


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"headrace {VERSION}")


COMMANDS = (
    *(server, worker, demo, sync, import_, export_, experiments, run, projects, runs, models, endpoints, history),
    *(sql, events, log, topics, rebuild, gc, views, doctor),
)
for command in COMMANDS:
    main.add_command(command)
for command in compare.COMMANDS:
    runs.add_command(command)
for command in (*models_changes.COMMANDS, *models_requests.COMMANDS):
    models.add_command(command)


if __name__ == "__main__":
    main()
