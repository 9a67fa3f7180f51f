"""The command line. Each command is a module of its own and is imported when it is used."""
