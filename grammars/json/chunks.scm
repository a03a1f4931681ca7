(pair) @unit
