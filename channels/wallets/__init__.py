"""Mobile money: one adapter per operator, the registry that names them, the door for their callbacks."""
