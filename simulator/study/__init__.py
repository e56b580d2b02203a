"""Architecture studies: many simulations described in one file, run side by side, and what they say together."""
