"""`headrace models`: the registry's models and versions, and what is done with a model."""

from __future__ import annotations

import click
from headrace.sdk.cli.serve import predict, serve


@click.group()
def models() -> None:
    """The registry: models, their versions, stages and aliases; and serving a model."""


models.add_command(serve)
models.add_command(predict)
