"""Autolog: hooks around the training functions of other libraries, which log what they do."""
