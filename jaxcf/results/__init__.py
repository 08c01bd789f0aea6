"""What comes out: data, and what is read off it. Nothing here draws or writes pages."""
