"""One object per RPC service: `async (request, caller) -> response` or an async iterator; knows no transport."""
