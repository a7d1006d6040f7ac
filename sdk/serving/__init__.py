"""Scoring: bytes of a request to the model's input, its prediction to bytes, and what waits predicted together."""
