"""Named widths, configurations, registries, artifacts and run directories. Knows no GAN."""
