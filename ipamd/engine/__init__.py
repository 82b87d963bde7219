"""Decides who gets which address. It knows neither HTTP nor SQL."""
