"""What each decision of preprocessing changes on real scans: the tables and pictures of docs/compared.md."""
