(class_definition) @unit

(function_definition) @unit

(decorated_definition) @unit
