"""A study of fine-tuning on real images, through our own API: what which choice brings, with its spread over seeds."""
