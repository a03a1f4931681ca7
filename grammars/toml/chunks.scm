(table) @unit

(table_array_element) @unit
