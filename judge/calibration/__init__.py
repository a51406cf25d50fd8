"""How far a judge can be trusted, measured against people: labels in, trust out."""
