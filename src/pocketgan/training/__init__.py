"""Tasks, objectives, the one loop."""
