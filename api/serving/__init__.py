"""Model endpoints: worker processes that follow the registry, and the way requests take to them."""
