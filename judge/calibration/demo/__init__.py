"""What a calibration says of three judges: two on public labels, whose figures ship without texts, one simulated."""
