"""The TinyLSTMs that ship, made by one pipeline.

Read in this order: `sequences` (recordings → what the device computes), `floating` (a network as numbers), `network`
(training, pruning), `conversion` (int8, one step at a time, what belongs to a model inside the file), `scores`, `card`. Each
model is a module of its name with `train(shared, out, *, seed)`, `SOURCES` (the modules that decide its result) and
`page(card)`; `__main__` runs them.
"""

MODELS = ("wearable", "sleep", "engagement", "alerts")
