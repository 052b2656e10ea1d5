# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the official SDKs against trainerdesk-local. Entry point: tests/sdk/run.py."""
