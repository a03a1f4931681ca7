(function_definition) @unit
