"""Pure functions on arrays: how judge and people agree, and how sure one can be of it."""
