"""Accelerators described in YAML: units, schema, loading and the shipped presets."""
