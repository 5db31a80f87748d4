"""Every way of running the checks uses the same plugin; docs and options are there."""

pytest_plugins = ("stormdesk.checks.plugin",)
