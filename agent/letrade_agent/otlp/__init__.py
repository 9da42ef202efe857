"""Spans to a collector of OpenTelemetry: the wire format and a thread that sends, which no message waits for."""
