(section) @unit

(fenced_code_block) @unit
