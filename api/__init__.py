"""The HTTP server: MLflow REST, ingest gateway, queries, feed and page."""
