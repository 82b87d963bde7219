"""Decides who gets which address. Knows neither HTTP nor SQL."""
