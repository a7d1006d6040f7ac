"""The error of data that do not fit a model's signature."""

from __future__ import annotations


class SchemaMismatch(ValueError):
    """Data or params that do not fit the model's signature; the message names the column or param, and what fits."""
