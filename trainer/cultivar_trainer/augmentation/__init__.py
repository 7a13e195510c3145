"""Random changes of training images: batched, on the device, drawn per sample."""
