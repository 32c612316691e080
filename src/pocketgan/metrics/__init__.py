"""What a generator costs and how good its pictures are."""
