"""The feed: every event of the log as it comes, or from any moment in the past on, to any number of readers."""
