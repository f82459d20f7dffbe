"""Learning from batches: networks, losses, the compiled update and the support. Imports TensorFlow."""
