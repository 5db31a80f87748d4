"""The code for a target host: shell scripts, their assembly, and the parsing of their answers. No connections are made here."""
