"""What runs in a trainer's process."""
