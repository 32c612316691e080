"""Training loop, tasks' interface, objectives."""
