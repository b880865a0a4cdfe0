"""The report as a page: one HTML file that opens offline, from plain values about a set of cases."""
