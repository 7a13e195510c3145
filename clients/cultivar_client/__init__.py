"""Talks to a Cultivar service: `Client` for programs, the `cultivar` command for people."""

from cultivar_client.channel import Tls
from cultivar_client.client import Client
from cultivar_client.errors import CultivarError
from cultivar_client.spec import SpecError

__all__ = ["Client", "CultivarError", "SpecError", "Tls"]
