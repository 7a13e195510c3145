"""How data sets come in: uploads and imports."""
