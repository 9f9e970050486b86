"""What can be made from a trained generator: pictures, arrays and films, one class a file."""
