"""One module per journey. A state is two pure functions: what it shows, where an answer leads."""
