"""SQL over documented views: a statement is read, gated by the engine's own parser, limited, run and answered."""
