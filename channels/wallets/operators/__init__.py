"""One module per operator; they do not know each other, and only the registry and the wiring know them."""
