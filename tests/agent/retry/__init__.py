"""The retry decision, what it reads, and the copies that it leads to."""
