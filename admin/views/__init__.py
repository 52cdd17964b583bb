"""The pages. Each module adds its own to the blueprint and reads only through services."""
