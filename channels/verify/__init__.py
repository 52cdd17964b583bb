"""Anybody checks a receipt: `/verify/<code>`."""

from channels.verify.views import verify_blueprint

__all__ = ["verify_blueprint"]
