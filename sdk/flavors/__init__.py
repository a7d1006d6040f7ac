"""One flavor of model a module: how its payload is saved, loaded and asked for predictions."""
