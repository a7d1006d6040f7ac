"""`headrace models`: the registry's models and versions, and what is done with a model."""

from __future__ import annotations

import click


@click.group()
def models() -> None:
    """The registry: models, their versions, stages and aliases; and serving a model."""
