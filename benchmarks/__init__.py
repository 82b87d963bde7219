"""How fast ipamd is, beside what people use and beside its own limits, measured in the same run."""
