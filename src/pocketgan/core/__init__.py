"""Named widths, specs, configurations, artifacts and run directories."""
