"""What the trainer and the service agree on: recipes, pixels, folders and packages."""
