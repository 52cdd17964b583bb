"""SMS and e-mail: texts, quiet hours, delivery."""
