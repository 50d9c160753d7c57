"""What pages draw: figures for plotly, and pictures whose places are worked out here."""
