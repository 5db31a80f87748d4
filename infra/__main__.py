"""The Pulumi program of the checkout as a module; see project.py."""

from __future__ import annotations

from stormdesk.infra import project

project.main()
