"""The promises of a backend as tests, for whoever writes one: see docs/backends.md.

    python -m ipamd.backends.conformance --backend-url 'file:///{folder}/database'

`{folder}` stands for an empty folder, a new one for each test. A backend whose databases are not files is
named by a harness instead (`Harness`): `--backend-harness MODULE:OBJECT`. All other arguments are pytest's.
What is needed beside ipamd comes with `pip install ipamd[conformance]`.
"""

from ipamd.backends.conformance.harness import Harness, InFolder

__all__ = ["Harness", "InFolder"]
