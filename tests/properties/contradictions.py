"""What the check finds."""

from __future__ import annotations

from ipamd.engine.engine import Engine
from ipamd.models.finding import Finding


async def contradictions(engine: Engine) -> list[Finding]:
    """What the check of everything finds."""
    portion = await engine.consistency.portion(None, None, repair=False)
    found = list(portion.findings)
    while portion.next is not None:
        portion = await engine.consistency.portion(portion.next, None, repair=False)
        found += portion.findings
    return found
