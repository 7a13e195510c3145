"""Measures serving: our service and its peers, side by side, one core for the server and one for the client."""
