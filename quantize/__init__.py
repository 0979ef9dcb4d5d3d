"""Float Keras models in, self-describing int8 TFLite out."""
