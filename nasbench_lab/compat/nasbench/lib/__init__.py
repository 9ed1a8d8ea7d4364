"""The official modules that need no TensorFlow."""
