"""Everything that knows D4PG. Sets environment variables before the import of TensorFlow and Keras."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its greetings would end up in the middle of the live view
