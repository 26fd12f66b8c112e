"""The analysts' desk: a web application over the extension's SQL functions (docs/desk.md)."""
