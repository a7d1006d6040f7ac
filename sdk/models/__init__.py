"""Models: saved as MLflow saves them, loaded without it, logged without waiting."""
