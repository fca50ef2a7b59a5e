"""The report of a run: one HTML file that needs nothing else, not even a network.

`page` puts it together; what can be drawn beforehand is drawn here, as SVG, and only the message
diagram is drawn by the browser. Everything is bounded: time is cut into bins, anomalies beyond some
are counted, messages beyond a number of bytes are left out.
"""
