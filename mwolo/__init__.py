"""The wiring: the only place that builds things, the command line, and the sandbox."""
