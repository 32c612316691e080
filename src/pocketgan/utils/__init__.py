"""Files, downloads, archives, progress and image conversion. Knows no network."""
