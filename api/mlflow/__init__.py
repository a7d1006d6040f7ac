"""MLflow's REST API 2.0 over the log and the views."""
