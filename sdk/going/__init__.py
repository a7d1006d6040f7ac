"""What goes out: runs as Parquet, and as a file that imports back to equal state."""
