"""Training studies: several ways to train, compared on the same validation images."""
