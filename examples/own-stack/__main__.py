"""For `pulumi up`, where the engine has its language plugin for Python."""

from desk import program

program()
