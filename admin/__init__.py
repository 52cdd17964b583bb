"""The back-office console: server-rendered pages, small and quick on a bad line, French first."""
