"""What every room needs and none owns: files, batches, checks, choices of rows, images."""
