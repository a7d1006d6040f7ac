"""The HTTP server: MLflow REST, ingest gateway, queries, live feed and page."""
