"""The JSON API for programs of the utility and its partners, described by OpenAPI. One declaration per operation."""

from channels.api.door import api_blueprint
from channels.api.parts import ApiParts, Pace

__all__ = ["ApiParts", "Pace", "api_blueprint"]
