"""The events, the envelope and the log: what every other part of Headrace is built on."""
