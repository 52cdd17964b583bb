"""PDF documents and where they are kept."""
