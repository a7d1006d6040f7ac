"""Hypothesis without a deadline: a busy machine is no fault."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")
