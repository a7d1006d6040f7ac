"""The registry from a program: models, versions, stages, aliases, requests and comments, and how they were."""
