"""What the scripts share, a room for each question; docs/architecture.md shows them."""

__version__ = "0.2.0"
