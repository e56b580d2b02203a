"""What a network did on real inputs: records, zero-maps and the file that holds them. No torch here."""
