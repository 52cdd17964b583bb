"""The outside world in a box: phones, SMS aggregator, wallet operators, meters, faults.

Its own process and its own database. It speaks the partners' protocols on the wire and never imports the product's
services or tables, so that what the product believes and what really happened can be compared.
"""
