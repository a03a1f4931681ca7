; JavaScript has the units that are common to its family and none of its own.
