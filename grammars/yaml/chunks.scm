(block_mapping_pair) @unit
