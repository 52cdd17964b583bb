"""Prepaid contracts: what a day or a kWh costs, which tokens were issued, and how long they last."""
