"""Projects: a folder, repository or archive whose entry points are run with what they need, and remembered as runs."""
