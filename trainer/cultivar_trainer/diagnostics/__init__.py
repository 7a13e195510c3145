"""What is measured of a network while it learns, shown in TensorBoard, and told where it is a sign of going wrong."""
