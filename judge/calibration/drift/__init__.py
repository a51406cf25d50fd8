"""Whether a judge is still the one that was calibrated."""
