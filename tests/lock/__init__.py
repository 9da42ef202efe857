"""What is installed: requirements.lock, and what the code imports."""
