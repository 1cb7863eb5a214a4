"""Where figures of a run go: TensorBoard, MLflow, Weights & Biases, or a file of JSON lines; one file each."""
