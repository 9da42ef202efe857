"""The shell around the relay: sockets, TLS, timers and tasks; every decision about messages is made below it."""
