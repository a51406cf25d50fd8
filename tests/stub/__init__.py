"""A judge on loopback that speaks the dialects of several providers. `tests/stub_judge.py` starts it."""
