"""Where artifacts are kept: one protocol, the stores behind it, and the choice between them by URL."""
