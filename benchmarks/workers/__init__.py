"""What runs in processes of its own: trainers, timed calls, readers."""
