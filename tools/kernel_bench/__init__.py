"""How fast, how large and how exact the TinyLSTM kernel is: on emulated cores and beside TensorFlow Lite Micro on this machine."""
