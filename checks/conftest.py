"""All ways of running the checks use one plugin; see there for documentation and options."""

pytest_plugins = ("stormdesk.checks.plugin",)
