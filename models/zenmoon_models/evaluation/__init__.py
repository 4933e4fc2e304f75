"""What ships, scored on data that it was not made from: `tools/evaluate.py` is the command, each task a module with the same door.

`evaluate(folder) -> dict` gives the figures as they stand in the JSON, `table(result) -> str` shows them to people.
stress: `layouts` (which set lies in the folder, its people and labels) → `windows` (what a wearable computes of a recording) →
`controls` (what tells physiology from a clock) → `stress` (the figures). sleep stands alone. `page` writes docs/evaluation.md.
"""
