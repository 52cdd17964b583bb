"""Customers, phone links, sites, meters, contracts."""
