"""Where jobs run: devices with room for them."""
