"""What people ask of the state: usage, explanations, the check of everything."""
