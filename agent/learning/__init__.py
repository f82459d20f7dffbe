"""What the learner does with batches: networks, losses, the compiled update, the support. TensorFlow is imported here."""
