"""New topology files and keys, while connections go on: noticed, read, and put in force or refused."""
