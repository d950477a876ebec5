"""The HTTP and WebSocket edge of dispatch: one route table, thin handlers, problem+json errors."""
