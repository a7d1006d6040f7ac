"""The page served at /."""
