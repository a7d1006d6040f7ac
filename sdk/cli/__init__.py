"""The headrace command: one file a group of commands, all of it over the SDK's public reads."""
