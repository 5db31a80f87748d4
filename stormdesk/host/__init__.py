"""What runs on a target host: the shell scripts, how they are put together, how their answers are read. No connection is made here."""
