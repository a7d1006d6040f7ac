"""What comes from other trackers: MLflow, TensorBoard, Neptune, and portable files of Headrace itself."""
