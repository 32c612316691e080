"""Image data: from files on disk to batches of tensors, NCHW, float32, RGB, in [-1, 1]."""
