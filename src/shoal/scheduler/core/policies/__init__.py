"""How choices are made: order, placement, stealing, restrictions, estimates. No messages are sent
here.
"""
