"""The training study: networks trained side by side by one protocol, several seeds each, error after every epoch."""
