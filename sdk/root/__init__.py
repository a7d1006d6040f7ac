"""Headrace: event-sourced tracking for machine learning."""
