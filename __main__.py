"""What `pulumi up` in this folder runs (Pulumi.yaml). It lies here, and not in infra/, so that the language host and the
launcher of dynamic providers find the same `virtualenv`: one looks from the project's folder, the other from the program's.
"""

from __future__ import annotations

from stormdesk.infra import project

project.main()
