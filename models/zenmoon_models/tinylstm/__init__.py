"""The wearable's model: an int8 LSTM that tells strain and expects the next step.

Read in this order: `sequences` (recordings → what the device computes), `network` (training), `conversion` (int8, one
step at a time, calibration inside the file), `evaluation` (people held out, controls), `card`, `__main__` (all of it).
"""
