"""What nodes say of what lives and is dead on them, and what is freed of it."""
