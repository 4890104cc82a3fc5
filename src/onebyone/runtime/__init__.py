"""What every process needs: its life, its web server, its stores, its logs and its metrics."""
